import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { ProducerConfig } from '../config/types.ts';
import { loadConnectors } from '../connector/load.ts';
import { createKafka } from '../kafka/client.ts';
import { explainError } from '../observability/explain-error.ts';
import type { ProcessContext } from '../observability/process-context.ts';
import { collectionName } from '../postgres/name-parts.ts';
import { disconnect } from '../postgres/session.ts';
import { createBackoff } from '../retry/backoff.ts';
import { BrokenHistory } from './change-stream.ts';
import { checkSource, type NeededTable, SourceNotReady } from './check-source.ts';
import { runPipeline } from './pipeline.ts';
import type { FoundBroken } from './position.ts';
import { createProducerMetrics } from './producer-metrics.ts';
import { connectSource, hasSlot } from './source-session.ts';
import { nameOf } from './table-eras.ts';

/** A pipeline that ran for so long counts as well: its end is retried at once. */
const STABLE_MS = 30_000;

/**
 * Runs the producer until `signal` aborts: one pipeline after the other, since any error ends a pipeline and only new
 * client objects are safe after it. Nothing is lost meanwhile: the slot holds it.
 */
export async function runProducer(
  config: ProducerConfig,
  { log, health, metrics, signal }: ProcessContext,
): Promise<void> {
  const producerMetrics = createProducerMetrics(metrics);
  const needed = neededTables(config.connectorsDir);
  const version = (
    JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  ).version;
  const backoff = createBackoff(config.retry);
  const alive = setInterval(() => health.live(), 1_000);
  let foundBroken: FoundBroken | null = null;
  try {
    while (!signal.aborted) {
      const started = performance.now();
      try {
        await checkReady(config, needed, log);
        await runPipeline({
          config,
          kafka: createKafka(config.kafka, log),
          log,
          metrics: producerMetrics,
          version,
          foundBroken,
          tables: new Set(needed.map(nameOf)),
          onReady: () => {
            producerMetrics.active(true);
            health.ready('producer', true);
          },
          onStandby: () => health.ready('producer', false, 'standing by: another producer holds the slot'),
          signal,
        });
      } catch (error) {
        producerMetrics.active(false);
        if (signal.aborted) return;
        if (error instanceof BrokenHistory) foundBroken = error.found;
        const stable = performance.now() - started > STABLE_MS;
        if (stable) backoff.reset();
        const retryMs = stable ? 0 : backoff.next();
        tell(error, { log, health }, retryMs);
        // The wait ends early, with an error of no interest, when the process is asked to end.
        await sleep(retryMs, undefined, { signal }).catch(() => undefined);
        producerMetrics.restarted();
      }
    }
  } finally {
    clearInterval(alive);
  }
}

/** Says what went wrong, and when the next try is. */
function tell(
  error: unknown,
  { log, health }: { log: Logger; health: ProcessContext['health'] },
  retryMs: number,
): void {
  const reason = explainError(error);
  health.ready('producer', false, reason);
  if (error instanceof SourceNotReady) {
    log.error({ event: 'source_not_ready', problems: error.problems, retryMs }, error.message);
  } else {
    log.error({ event: 'pipeline_failed', err: error, retryMs }, `the producer starts again: ${reason}`);
  }
}

/**
 * Before the first start everything must be there. Later a table that is missing or not published holds up only the
 * connectors that read it, while SIIRAyS's log would be kept for all.
 * @throws SourceNotReady
 */
async function checkReady(config: ProducerConfig, needed: readonly NeededTable[], log: Logger): Promise<void> {
  const client = await connectSource(config.siirays.url);
  try {
    const problems = await checkSource(client, config.siirays, needed);
    if (problems.length === 0) return;
    const told = new SourceNotReady(problems);
    if (problems.some(({ ofTable }) => !ofTable) || !(await hasSlot(client, config.siirays.slot))) throw told;
    log.error({ event: 'source_lacks_tables', problems }, told.message);
  } finally {
    await disconnect(client);
  }
}

/** The tables of all connectors, each once, with every column that any of them uses. */
function neededTables(connectorsDir: string): NeededTable[] {
  const tables = new Map<string, { schema: string; table: string; columns: Set<string> }>();
  for (const connector of loadConnectors(connectorsDir)) {
    for (const { schema, table, columns } of connector.tables) {
      const name = collectionName({ schema, table });
      const entry = tables.get(name) ?? { schema, table, columns: new Set<string>() };
      for (const column of columns) entry.columns.add(column);
      tables.set(name, entry);
    }
  }
  return [...tables.values()].map((entry) => ({ ...entry, columns: [...entry.columns] }));
}
