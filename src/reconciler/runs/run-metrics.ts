import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { METRICS_PREFIX } from '../../observability/metrics.ts';
import { isOverdue, type Schedule } from '../schedule/schedule.ts';
import type { RunObserver } from './run-observer.ts';
import type { RunStore } from './run-store.ts';

const DURATIONS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600, 14_400];
const name = (rest: string) => `${METRICS_PREFIX}reconciliation_${rest}`;

/** Counts what the runs of this process do: an observer for its RunStore. Once per registry. */
export function createRunMetrics(registry: Registry): RunObserver {
  const registers = [registry];
  const runs = new Counter({
    name: name('runs_total'),
    help: 'Reconciliations that this process has executed, by how they ended.',
    labelNames: ['mode', 'trigger', 'state'],
    registers,
  });
  const differences = new Counter({
    name: name('differences_total'),
    help: 'Differences found, by what became of them.',
    labelNames: ['kind', 'outcome'],
    registers,
  });
  const seconds = new Histogram({
    name: name('duration_seconds'),
    help: 'Duration of reconciliations.',
    labelNames: ['mode'],
    buckets: DURATIONS,
    registers,
  });
  return {
    found(found) {
      for (const { kind, outcome } of found) differences.inc({ kind, outcome });
    },
    ended({ options: { mode }, asker: { trigger }, state, startedAt, endedAt }) {
      runs.inc({ mode, trigger, state });
      if (startedAt !== null && endedAt !== null) seconds.observe({ mode }, Math.max(0, endedAt - startedAt) / 1_000);
    },
  };
}

export interface ProofMetricsOptions {
  store: RunStore;
  connectors: readonly string[];
  /** The schedules that should prove a connector; none: it is never overdue. */
  schedules(connector: string): readonly Schedule[];
  /** When the first load ended, in milliseconds since 1970: it counts as a proof. null: not yet. */
  firstLoadAt(connector: string): Promise<number | null>;
}

export interface ConnectorProof {
  connector: string;
  running: number;
  lastSuccess: number | null;
  lastVerdict: number | null;
  oldestProof: number | null;
  overdue: boolean;
}

/**
 * Gauges of what the history knows of each connector, whoever has executed the runs; read at each scrape. Where `sync`
 * cannot be read they are left out, so that the process's other metrics are seen.
 */
export function registerProofMetrics(registry: Registry, options: ProofMetricsOptions): void {
  // One reading serves all gauges of a scrape.
  let reading: Promise<ConnectorProof[]> | null = null;
  const read = (): Promise<ConnectorProof[]> => {
    reading ??= Promise.all(options.connectors.map((connector) => readProof(connector, options)))
      .catch(() => [])
      .finally(() => {
        reading = null;
      });
    return reading;
  };
  const gauge = (rest: string, help: string, value: (proof: ConnectorProof) => number | null) =>
    new Gauge({
      name: name(rest),
      help,
      labelNames: ['connector'],
      registers: [registry],
      async collect() {
        const proofs = await read();
        this.reset();
        for (const proof of proofs) {
          const known = value(proof);
          if (known !== null) this.set({ connector: proof.connector }, known);
        }
      },
    });
  const seconds = (ms: number | null) => (ms === null ? null : ms / 1_000);

  gauge('running', 'Reconciliations under way, in whatever process.', ({ running }) => running);
  gauge(
    'last_success_timestamp_seconds',
    'When a reconciliation of the whole connector last found it equal or made it so.',
    ({ lastSuccess }) => seconds(lastSuccess),
  );
  gauge(
    'last_verdict_timestamp_seconds',
    'When a reconciliation of the whole connector last decided everything about it, whatever it found.',
    ({ lastVerdict }) => seconds(lastVerdict),
  );
  gauge('proof_age_seconds', 'Time since the document that waits longest was proven equal.', ({ oldestProof }) =>
    seconds(oldestProof === null ? null : Math.max(0, Date.now() - oldestProof)),
  );
  gauge(
    'overdue',
    '1 when two planned times have passed since the last verdict on the whole connector.',
    ({ overdue }) => Number(overdue),
  );
}

/** How a connector is proven now. @throws PostgreSQL's errors */
export async function readProof(
  connector: string,
  { store, schedules, firstLoadAt }: ProofMetricsOptions,
): Promise<ConnectorProof> {
  const [running, lastSuccess, lastVerdict, { oldest }, loadedAt] = await Promise.all([
    store.running(connector),
    store.lastSuccess(connector),
    store.lastVerdict(connector),
    store.ageOfProof(connector),
    firstLoadAt(connector),
  ]);
  // Named differences, such as dead letters, are no lack of a proof: they have alarms of their own.
  const provenAt = Math.max(lastVerdict ?? 0, loadedAt ?? 0);
  // The most frequent schedule says what is expected: both comparisons prove the documents.
  const overdue = provenAt > 0 && schedules(connector).some((schedule) => isOverdue(schedule, provenAt, Date.now()));
  return { connector, running: running.length, lastSuccess, oldestProof: oldest, overdue, lastVerdict };
}
