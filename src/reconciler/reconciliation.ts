import pg from 'pg';
import type { ReconcileConfig } from '../config/types.ts';
import type { CompiledConnector } from '../connector/compiled.ts';
import { loadConnectors } from '../connector/load.ts';
import { createKafka } from '../kafka/client.ts';
import { topicsFor } from '../kafka/topics.ts';
import type { Logger } from '../logging/logger.ts';
import { explainError } from '../observability/explain-error.ts';
import { connectorSides } from './connector-sides.ts';
import { Engine } from './engine.ts';
import { PositionWatch } from './position-watch.ts';
import type { RunObserver } from './runs/run-observer.ts';
import { RunStore } from './runs/run-store.ts';
import type { Outcome, Run, RunRecorder } from './types.ts';

const DAY_MS = 86_400_000;
/** Differences that are kept of a run; more are only counted. */
const DIFFERENCES_KEPT = 10_000;
/** A run that has not been seen for so long was killed. */
const SILENT_MS = 10_000;

/** Everything that runs reconciliations: the history, the engine and what they stand on. */
export interface Reconciliation {
  readonly connectors: readonly CompiledConnector[];
  readonly pool: pg.Pool;
  readonly store: RunStore;
  readonly watch: PositionWatch;
  /** Executes a run that was made in the store; resolves with it when it has ended, however it has. */
  execute(run: Run): Promise<Run>;
  close(): Promise<void>;
}

/**
 * Sets it up and brings its tables up to date.
 * @param signal aborts runs under way, which are interrupted then and can be resumed
 * @throws ConnectorError; PostgreSQL's errors where `sync` cannot be reached
 */
export async function openReconciliation(
  config: ReconcileConfig,
  log: Logger,
  signal: AbortSignal,
  observer?: RunObserver,
): Promise<Reconciliation> {
  const connectors = loadConnectors(config.connectorsDir);
  const pool = new pg.Pool({
    connectionString: config.syncUrl,
    application_name: 'siirays-sync reconciler',
    max: 8,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  });
  // The end of an idle connection shows at its next use.
  pool.on('error', () => undefined);
  const store = new RunStore({
    pool,
    schema: 'reconciler',
    instance: config.instanceId,
    keep: { days: config.keepMs / DAY_MS, runs: config.keepRuns, differencesPerRun: DIFFERENCES_KEPT },
    silentMs: SILENT_MS,
    observer,
  });
  try {
    await store.migrate();
  } catch (error) {
    await pool.end();
    throw error;
  }
  const closing = new AbortController();
  const kafka = createKafka(config.kafka, log);
  const watch = new PositionWatch({
    kafka,
    topic: topicsFor(config.kafka.topicPrefix).position,
    retry: config.retry,
    log,
    signal: AbortSignal.any([signal, closing.signal]),
  });
  const engine = new Engine({
    ...{ pool, watch, connectors },
    sides: (connector, recorder) => connectorSides(config, kafka, connector, connectors, recorder),
    proven: (connector, ids, run) => store.proven(connector, ids, run),
    met: (connector, ids) => store.met(connector, ids),
    patienceMs: config.patienceMs,
    repairPatienceMs: config.repairPatienceMs,
  });
  return {
    ...{ connectors, pool, store, watch },
    execute: (run) => store.execute(run, (recorder) => explained(engine, recorder), signal),
    async close() {
      closing.abort();
      await watch.ended();
      await pool.end();
    },
  };
}

/** What a run fails with says what to do about it. */
async function explained(engine: Engine, recorder: RunRecorder): Promise<Outcome> {
  try {
    return await engine.run(recorder);
  } catch (error) {
    recorder.signal.throwIfAborted();
    throw new Error(explainError(error), { cause: error });
  }
}
