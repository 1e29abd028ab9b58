import type { Kafka } from 'kafkajs';
import type { ReconcileConfig } from '../config/types.ts';
import type { CompiledConnector } from '../connector/compiled.ts';
import { connectorSchemas } from '../consumer/replica-names.ts';
import { SnapshotSignals } from '../consumer/snapshot-signals.ts';
import { FastaapsClient } from '../fastaaps/client.ts';
import { topicsFor } from '../kafka/topics.ts';
import type { Candidate, Comparison } from './comparison.ts';
import { DirectComparison } from './direct/direct-comparison.ts';
import { DirectSetComparison } from './direct/direct-set-comparison.ts';
import { DocumentComparison } from './documents/document-comparison.ts';
import { SetComparison } from './documents/set-comparison.ts';
import type { Sides } from './engine.ts';
import { markUnlessSetAside, sendSetAgain } from './mark-documents.ts';
import { assertRestorable, restoreSet } from './restore/restore-set.ts';
import { RowComparison } from './rows/row-comparison.ts';
import { SiiraysReader } from './siirays-reader.ts';
import type { RunRecorder } from './types.ts';

/** How long a range should take on SIIRAyS. */
const RANGE_MS = 500;
/** Documents are projected in so many sessions at once. */
const SESSIONS = 2;

/** Makes one connector's comparisons for one run, over connections of their own. */
export function connectorSides(
  config: ReconcileConfig,
  kafka: Kafka,
  connector: CompiledConnector,
  connectors: readonly CompiledConnector[],
  recorder: RunRecorder,
): Sides {
  const schemas = connectorSchemas(connector.name);
  const { signal } = recorder;
  const siirays = new SiiraysReader({
    url: config.siirays.readUrl,
    lockTimeoutMs: config.lockTimeoutMs,
    share: config.siiraysShare,
    signal,
  });
  const fastaaps = new FastaapsClient(config.fastaaps);
  const signals = new LazySignals(kafka, topicsFor(config.kafka.topicPrefix).signal, connector.name);
  const note = (text: string): void => recorder.note(`${connector.name}: ${text}`);
  const warning =
    (onSkipped: () => void) =>
    (text: string, passedOver = false): void => {
      note(text);
      if (passedOver) onSkipped();
    };
  const common = { connector, schemas, syncUrl: config.syncUrl, rangeMs: RANGE_MS };
  return {
    rows: (tables, onSkipped) =>
      new RowComparison({
        ...common,
        ...{ siirays, tables },
        rows: (table, keys) => signals.rows(table, keys),
        onNotComparable: (table, reason) => {
          note(`${table} is not compared: ${reason}`);
          onSkipped();
        },
      }) as unknown as Comparison<Candidate>,
    documents: (ids, onSkipped) =>
      (connector.target.adapter === 'restore'
        ? new SetComparison({ ...common, fastaaps, ids, onWarning: warning(onSkipped) })
        : new DocumentComparison({ ...common, fastaaps, ids, sessions: SESSIONS })) as unknown as Comparison<Candidate>,
    direct: (ids, onSkipped) => {
      const options = {
        ...{ connector, siirays, syncUrl: config.syncUrl, fastaaps, ids, rangeMs: RANGE_MS },
        onWarning: warning(onSkipped),
        markForced: (marked: string[]) => markUnlessSetAside(config.syncUrl, schemas.sync, marked),
      };
      const Direct = connector.target.adapter === 'restore' ? DirectSetComparison : DirectComparison;
      return new Direct(options) as unknown as Comparison<Candidate>;
    },
    barrier: () => siirays.barrier(),
    sendAgain: () => sendSetAgain(config.syncUrl, schemas.sync),
    restore: async (target, onProgress, ending) => {
      assertRestorable(connector, target, connectors);
      const url = config.siirays.readUrl;
      return restoreSet({
        connector,
        url,
        lockTimeoutMs: config.lockTimeoutMs,
        fastaaps,
        target,
        onProgress,
        signal: ending,
      });
    },
    async close() {
      // What was found stands, however the ends of the connections go.
      await Promise.allSettled([siirays.close(), fastaaps.close(), signals.close()]);
    },
  };
}

/** Signals to the producer; connected with the first, since most runs have nothing to ask for. */
class LazySignals {
  readonly #signals: SnapshotSignals;
  #connected: Promise<void> | null = null;

  constructor(kafka: Kafka, topic: string, connector: string) {
    this.#signals = new SnapshotSignals(kafka, topic, connector);
  }

  async rows(...args: Parameters<SnapshotSignals['rows']>): Promise<void> {
    this.#connected ??= this.#signals.connect();
    await this.#connected;
    await this.#signals.rows(...args);
  }

  async close(): Promise<void> {
    if (this.#connected) await this.#signals.disconnect();
  }
}
