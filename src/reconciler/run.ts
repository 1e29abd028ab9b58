import type { ReconcilerConfig } from '../config/types.ts';
import type { ProcessContext } from '../observability/process-context.ts';
import { FirstLoads } from './first-load.ts';
import { startApiServer } from './http/api-server.ts';
import { PositionWaits } from './http/position-waits.ts';
import type { ApiServices } from './http/services.ts';
import { OverdueAlarm } from './overdue-alarm.ts';
import { openReconciliation, type Reconciliation } from './reconciliation.ts';
import { createRunMetrics, type ProofMetricsOptions, registerProofMetrics } from './runs/run-metrics.ts';
import { parseSchedule } from './schedule/schedule.ts';
import { type Plan, Scheduler } from './schedule/scheduler.ts';
import type { Run, RunOptions } from './types.ts';
import { connectWhenUp } from './when-up.ts';

/** A leader of the schedule that is not heard of for so long is replaced. */
const LEADER_MS = 10_000;
const PRUNE_MS = 3_600_000;
const LIVE_MS = 5_000;
const ALARM_MS = 60_000;

/**
 * Runs the reconciler until `signal` aborts: HTTP API, schedule, and the runs that both start. A run under way is then
 * interrupted, and can be resumed.
 * @throws ConnectorError; where the API's address cannot be taken
 */
export async function runReconciler(config: ReconcilerConfig, context: ProcessContext): Promise<void> {
  const { log, health, metrics, signal } = context;
  const alive = setInterval(() => health.live(), LIVE_MS);
  const observer = createRunMetrics(metrics);
  try {
    const reconciliation = await connectWhenUp(
      () => openReconciliation(config, log, signal, observer),
      config,
      context,
    );
    if (reconciliation) await serve(config, context, reconciliation).finally(() => reconciliation.close());
  } finally {
    clearInterval(alive);
  }
}

async function serve(
  config: ReconcilerConfig,
  { log, health, metrics, signal }: ProcessContext,
  reconciliation: Reconciliation,
): Promise<void> {
  const { store, pool, connectors, watch } = reconciliation;
  const names = connectors.map(({ name }) => name);
  const runs = new Set<Promise<unknown>>();
  const firstLoads = new FirstLoads(pool);

  /** Executes a run in the background. */
  const execute = (run: Run): Promise<void> => {
    const executing = reconciliation
      .execute(run)
      .then(({ id, state, found }) => log.info({ event: 'run_ended', run: id, state, found }, `a run ended: ${state}`))
      .catch((err: unknown) => log.error({ event: 'run_lost', run: run.id, err }, 'a run was lost'))
      .finally(() => runs.delete(executing));
    runs.add(executing);
    log.info({ event: 'run_started', run: run.id, mode: run.options.mode, trigger: run.asker.trigger }, 'a run starts');
    return executing;
  };

  const scheduler = new Scheduler({
    store,
    plans: plansOf(config, names),
    start: async (options, asker) => execute((await store.create(options, asker)).run),
    firstLoadAt: () => firstLoads.latest(names),
    ...{ log, signal, instance: config.instanceId, leaseMs: LEADER_MS },
  });
  const proofs: ProofMetricsOptions = {
    ...{ store, connectors: names, firstLoadAt: (connector) => firstLoads.latest([connector]) },
    schedules: () => {
      const { cron, directCron, timezone } = config.schedule;
      return [cron, directCron].flatMap((text) => parseSchedule(text ?? 'off', timezone) ?? []);
    },
  };
  registerProofMetrics(metrics, proofs);
  const alarm = new OverdueAlarm(proofs, log);

  watch.start();
  const waits = new PositionWaits(pool, watch);
  const services: ApiServices = {
    ...{ pool, schema: store.schema, connectors, runs: store },
    start: async (options, asker, extra) => begun(await store.create(options, asker, extra)),
    resume: async (id, asker, extra) => begun(await store.resume(id, asker, extra)),
    scheduled: () => scheduler.next(),
    waitForPosition: (...asked) => waits.wait(...asked),
  };
  function begun(taken: { run: Run; existing: boolean }): { run: Run; existing: boolean } {
    if (!taken.existing) void execute(taken.run);
    return taken;
  }

  const server = await startApiServer(services, { ...config.api, log });
  log.info({ event: 'api_listening', host: config.api.host, port: server.port }, 'the HTTP API is served');
  health.ready('reconciler', true);
  const pruning = setInterval(() => {
    store.prune().catch((err: unknown) => log.warn({ event: 'prune_failed', err }, 'old runs were not deleted'));
  }, PRUNE_MS);
  const looking = setInterval(() => {
    alarm.look().catch((err: unknown) => log.warn({ event: 'proofs_unknown', err }, 'the proofs cannot be looked at'));
  }, ALARM_MS);
  await scheduler.run();
  clearInterval(pruning);
  clearInterval(looking);
  await Promise.all([server.close(1_000), ...runs]);
}

/** What runs by itself. */
function plansOf({ schedule }: ReconcilerConfig, connectors: readonly string[]): Plan[] {
  const options = (mode: RunOptions['mode'], direct: boolean): RunOptions => ({
    ...{ mode, direct, connectors, ids: null, tables: null, target: null, stopAfter: null, maxTimeMs: null },
  });
  const { cron, mode, directCron, timezone } = schedule;
  return [
    { name: 'periodic', cron: cron ?? 'off', timezone, options: options(mode, false) },
    { name: 'direct', cron: directCron ?? 'off', timezone, options: options(mode, true) },
  ];
}
