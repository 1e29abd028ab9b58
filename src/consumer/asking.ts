import type pg from 'pg';
import type { CompiledConnector } from '../connector/compiled.ts';
import type { Logger } from '../logging/logger.ts';
import type { Applier } from './applier.ts';
import type { Merge } from './merge.ts';
import type { Replica } from './replica.ts';
import { collectionName } from './replica-names.ts';
import type { SnapshotSignals } from './snapshot-signals.ts';

const SNAPSHOT_AGAIN_MS = 2_000;
const LOOK_MS = 1_000;
/** A row that was asked for and has not come is asked for again after this. */
const ROWS_AGAIN_MS = 30_000;

export interface AskingOptions {
  client: pg.ClientBase;
  connector: CompiledConnector;
  replica: Replica;
  merge: Merge;
  applier: Applier;
  signals: SnapshotSignals;
  log: Logger;
}

/** Asks the producer for what is missing, again and again until it has come: a full snapshot's BEGIN, incomplete rows. */
export class Asking {
  readonly #o: AskingOptions;
  #snapshotAt = Number.NEGATIVE_INFINITY;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(options: AskingOptions) {
    this.#o = options;
  }

  /** To be called between batches; cheap where nothing is due. */
  async look(): Promise<void> {
    const { merge, signals, connector, replica, applier, log } = this.#o;
    const now = performance.now();
    if (merge.awaited !== null && now - this.#snapshotAt >= SNAPSHOT_AGAIN_MS) {
      this.#snapshotAt = now;
      await signals.snapshot(merge.awaited, connector.tables);
      log.info({ event: 'snapshot_asked', request: merge.awaited }, 'a full snapshot is asked for');
    }
    if (now - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = now;
    // A staging copy's rows mostly come with a later chunk: only what is missing at its END is asked for.
    const side = applier.isStaging ? (applier.awaitsRows ? replica.staging : null) : replica.live;
    if (!side?.incomplete.suspected) return;
    for (const { table, keys } of await side.incomplete.due(this.#o.client, ROWS_AGAIN_MS)) {
      await signals.rows(table, keys);
      log.warn(
        { event: 'rows_asked', table: collectionName(table), rows: keys.length },
        'incomplete rows are asked for',
      );
    }
  }
}
