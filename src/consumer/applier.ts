import type pg from 'pg';
import type { CompiledConnector, TableRef } from '../connector/compiled.ts';
import type { TableShape } from '../kafka/change-event.ts';
import type { TransactionRecord } from '../kafka/transaction-record.ts';
import type { Logger } from '../logging/logger.ts';
import { formatLsn } from '../postgres/lsn.ts';
import type { ApplyTarget } from './apply.ts';
import { BatchWriter } from './batch-writer.ts';
import { BrokenHistory } from './broken-history.ts';
import type { Checkpoint, CheckpointStore, Commit, Position } from './checkpoint.ts';
import { unfitness } from './connector-fit.ts';
import type { ConsumerMetrics } from './consumer-metrics.ts';
import type { Merge, Step } from './merge.ts';
import type { Replica } from './replica.ts';
import { type ConnectorSchemas, collectionName } from './replica-names.ts';
import { cutAtShape } from './shape-cut.ts';
import { type ShapeChanged, tableTurned } from './shape-difference.ts';
import { beginStaging, swapIn } from './snapshot.ts';

/** Events of one batch, about; a larger unit is a batch of its own. */
const BATCH_BYTES = 8 * 1024 * 1024;
/** More messages than this waiting for us are a backlog: projecting then waits for its interval. */
const BACKLOG_MESSAGES = 200;

export interface ApplierOptions {
  client: pg.ClientBase;
  connector: CompiledConnector;
  schemas: ConnectorSchemas;
  replica: Replica;
  store: CheckpointStore;
  checkpoint: Checkpoint;
  merge: Merge;
  /** Messages that the reader has not read yet. */
  behind(): number;
  /** Called when something may have been taken out of the merge's queues. */
  onTaken(): void;
  /** Waits for more of a unit that has come in part; rejects where the pipeline ends. */
  more(): Promise<void>;
  /** The shape of a table of which no event came. */
  shapeOf(table: TableRef): Promise<TableShape>;
  /** Whether the live replica has all tables that the connector reads. */
  isLiveWhole: boolean;
  projectIntervalMs: number;
  /** Documents that break the connector's schema have become dead letters. */
  onRefused(): void;
  metrics: ConsumerMetrics;
  log: Logger;
}

/** What a batch or an idle moment has brought. */
export interface Outcome {
  /** The documents correspond to a newer commit: delivery has work. */
  projected: boolean;
}

interface Batch {
  units: number;
  events: number;
  end: TransactionRecord | null;
}

/**
 * Takes whole units out of the merge and applies them, a batch in one PostgreSQL transaction: rows, marks, documents and,
 * last, the checkpoint under our token. Any error leaves the transaction to be rolled back by the caller.
 */
export class Applier {
  readonly #o: ApplierOptions;
  #staging: Checkpoint['staging'];
  /** The commit that the live replica equals; null where there is no live replica yet. */
  #live: Commit | null;
  #projectedAt = Number.NEGATIVE_INFINITY;
  #looked = Number.NEGATIVE_INFINITY;
  /** The live replica is ahead of the documents. */
  #behindLive: boolean;
  /** The last unit that was applied, to whichever side. */
  #at: Commit | null;
  /** What comes next cannot be applied. */
  #changed: ShapeChanged | null = null;
  /** Why the staging copy, complete, is not put in the live one's place; undefined before the first try. */
  #withheld: string | null | undefined;

  constructor(options: ApplierOptions) {
    this.#o = options;
    const { staging, position, projected } = options.checkpoint;
    this.#staging = staging;
    this.#at = position;
    this.#live = options.isLiveWhole ? (staging ? projected : position) : null;
    this.#behindLive = this.#live !== null && this.#live.seq !== projected?.seq;
  }

  get isStaging(): boolean {
    return this.#staging !== null;
  }

  /** Whether rows of the staging copy are all that END waits for. */
  get awaitsRows(): boolean {
    return this.#staging?.ended ?? false;
  }

  /** What keeps a complete staging copy from being put in the live one's place; null where nothing does. */
  get withheld(): string | null {
    return this.#withheld ?? null;
  }

  /** Age of the newest commit that the live replica holds; 0 where there is none. */
  ageSeconds(nowMs: number): number {
    return this.#live === null ? 0 : Math.max(0, nowMs - this.#live.committedMs) / 1000;
  }

  /** Applies the next batch; null where nothing has come. */
  async next(): Promise<Outcome | null> {
    const started = performance.now();
    if (this.#changed) throw this.#changed;
    const taken = this.#take();
    if (taken.length === 0) return null;
    if (taken[0]!.kind === 'snapshot') return this.#snapshot(taken[0]!.record);
    if (taken[0]!.kind === 'shape') return this.#shape(taken[0]!.record);
    const { steps, changed } = cutAtShape(taken, (shape) => this.#side.tables.get(shape)?.shape);
    // The units before are applied: the live replica stands still just before the change.
    if (changed && steps.length === 0) throw changed;
    this.#changed = changed;
    const writer = new BatchWriter(this.#o.client, this.#side);
    const batch: Batch = { units: 0, events: 0, end: null };
    add(steps, writer, batch);
    while (this.#o.merge.isMidUnit && !changed) {
      await writer.flushIfLarge();
      const more = this.#o.merge.takeRest(BATCH_BYTES);
      this.#o.onTaken();
      add(more, writer, batch);
      if (more.length > 0) continue;
      await this.#o.more();
      await writer.keepOpen();
    }
    const projecting = this.#staging === null && this.#isDue();
    const locked = projecting && !writer.isOpen;
    if (locked) await writer.begin(this.#o.replica.projection.lock);
    await writer.flush();
    const position = this.#position(batch.end!);
    if (projecting) await this.#project(position, locked);
    const projected = projecting || (await this.#swapIfComplete(position));
    await this.#o.store.advance(this.#o.client, position, projected);
    await writer.commit();
    this.#applied(batch, position, projected, performance.now() - started);
    return { projected };
  }

  /**
   * What is to be done while no message comes: marks that others have set, or that were left under a backlog.
   * @returns null where there was nothing to do
   */
  async idle(): Promise<Outcome | null> {
    const { client, schemas, store } = this.#o;
    if (this.#staging?.ended && this.#withheld === undefined && this.#at) {
      await client.query('BEGIN');
      const projected = await this.#swapIfComplete(this.#at);
      if (projected) await store.project(client, this.#at);
      await client.query('COMMIT');
      if (projected) this.#live = this.#at;
      return { projected };
    }
    if (this.#live === null || !this.#isDue()) return null;
    if (!this.#behindLive) {
      if (performance.now() - this.#looked < this.#o.projectIntervalMs) return null;
      this.#looked = performance.now();
      const { rows } = await client.query<{ marked: boolean }>({
        name: 'marked',
        text: `SELECT EXISTS (SELECT FROM "${schemas.sync.replaceAll('"', '""')}".mark) AS marked`,
      });
      if (!rows[0]!.marked) return null;
    }
    await client.query('BEGIN');
    await this.#project(this.#live);
    await store.project(client, this.#live);
    await client.query('COMMIT');
    this.#behindLive = false;
    return { projected: true };
  }

  /** Others have set marks: the next idle moment looks for them. */
  marked(): void {
    this.#looked = Number.NEGATIVE_INFINITY;
  }

  #take(): Step[] {
    const steps = this.#o.merge.take(BATCH_BYTES);
    this.#o.onTaken();
    return steps;
  }

  get #side(): ApplyTarget {
    return this.#staging ? this.#o.replica.staging : this.#o.replica.live;
  }

  #position({ history, seq, endLsn, tsMs }: TransactionRecord): Position {
    return { history, seq, lsn: endLsn, committedMs: tsMs, offsets: this.#o.merge.offsets() };
  }

  #isDue(): boolean {
    const waiting = this.#o.merge.waitingRecords + this.#o.behind();
    return waiting <= BACKLOG_MESSAGES || performance.now() - this.#projectedAt >= this.#o.projectIntervalMs;
  }

  async #project(commit: Commit, locked = false): Promise<void> {
    const { client, replica, metrics, log } = this.#o;
    const started = performance.now();
    const done = await replica.projection.run(client, commit, locked);
    this.#projectedAt = performance.now();
    const ms = this.#projectedAt - started;
    metrics.projectionSeconds.observe(ms / 1000);
    metrics.projected.inc(done.changed);
    metrics.refused.inc(done.refused);
    if (done.refused > 0) {
      this.#o.onRefused();
      log.warn({ event: 'documents_refused', documents: done.refused }, 'documents lack required fields: dead letters');
    }
    log.debug({ event: 'projected', ...done, lsn: formatLsn(BigInt(commit.lsn)), ms: Math.round(ms) }, 'projected');
  }

  #applied({ units, events }: Batch, position: Position, projected: boolean, ms: number): void {
    const { metrics, log } = this.#o;
    this.#at = position;
    if (this.#staging === null) {
      const { history, seq, lsn, committedMs } = position;
      this.#live = { history, seq, lsn, committedMs };
      this.#behindLive = !projected;
    }
    metrics.transactions.inc(units);
    metrics.events.inc(events);
    metrics.batchSeconds.observe(ms / 1000);
    metrics.delaySeconds.observe(Math.max(0, Date.now() - position.committedMs) / 1000);
    log.info(
      {
        event: 'batch_applied',
        transactions: units,
        events,
        history: position.history,
        seq: position.seq,
        lsn: formatLsn(BigInt(position.lsn)),
        projected,
        ms: Math.round(ms * 10) / 10,
      },
      'batch applied',
    );
  }

  /** @throws BrokenHistory where a table is told to be another one than that of the side which is being changed */
  async #shape(record: TransactionRecord): Promise<Outcome> {
    const { client, connector, store } = this.#o;
    const ours = new Set(connector.tables.map(collectionName));
    for (const shape of record.shapes!.filter(({ table }) => ours.has(table))) {
      const known = this.#side.tables.all().find((table) => collectionName(table.shape) === shape.table);
      if (known?.shape.fingerprint !== shape.fingerprint) throw tableTurned(shape);
    }
    const position = this.#position(record);
    await client.query('BEGIN');
    await store.advance(client, position, false);
    await client.query('COMMIT');
    this.#applied({ units: 1, events: 0, end: null }, position, false, 0);
    return { projected: false };
  }

  async #snapshot(record: TransactionRecord): Promise<Outcome> {
    const { client, store, log, metrics } = this.#o;
    const { requestId, tables } = record.snapshot!;
    const position = this.#position(record);
    let projected = false;
    await client.query('BEGIN');
    if (record.status === 'BEGIN' && this.#coversAll(tables)) {
      await this.#beginStaging(requestId, tables);
    } else if (record.status === 'END' && this.#staging?.id === requestId) {
      this.#staging.ended = true;
      await store.update(client, 'staging_ended = true');
      projected = await this.#swapIfComplete(position);
    }
    await store.advance(client, position, projected);
    await client.query('COMMIT');
    metrics.snapshotState.set(this.#staging ? 2 : 0);
    if (projected) this.#applied({ units: 0, events: 0, end: null }, position, true, 0);
    log.info(
      { event: `snapshot_${record.status.toLowerCase()}`, request: requestId, swapped: projected },
      'full snapshot',
    );
    return { projected };
  }

  /** @throws BrokenHistory where the snapshot that we wait for was asked for when the connector read fewer tables */
  #coversAll(tables: readonly string[]): boolean {
    const missing = this.#o.connector.tables.map(collectionName).filter((name) => !tables.includes(name));
    if (missing.length === 0) return true;
    if (this.#o.checkpoint.request) throw new BrokenHistory(`the full snapshot lacks ${missing.join(', ')}`);
    this.#o.log.warn({ event: 'snapshot_passed_over', missing }, 'a full snapshot lacks tables of this connector');
    return false;
  }

  /** From here on the live replica stands still: its marks are projected first, so that it equals the documents. */
  async #beginStaging(id: string, tables: readonly string[]): Promise<void> {
    const { client, store, schemas, replica } = this.#o;
    if (this.#staging === null && this.#live !== null) {
      await this.#project(this.#live);
      await store.project(client, this.#live);
      this.#behindLive = false;
    }
    await beginStaging(client, schemas, replica.staging.tables);
    await replica.staging.incomplete.load(client);
    await store.update(
      client,
      `staging_id = $2, staging_tables = $3, staging_begun_at = now(), staging_ended = false,
       request_id = NULL, request_offsets = NULL, request_reason = NULL, requested_at = NULL`,
      [id, tables],
    );
    this.#staging = { id, tables, ended: false };
  }

  /** Swaps the staging copy in where END has come and every row is whole; gives whether it did. */
  async #swapIfComplete(position: Commit): Promise<boolean> {
    const { client, connector, schemas, replica, store, log } = this.#o;
    if (!this.#staging?.ended) return false;
    if ((await replica.staging.incomplete.count(client)) > 0) return false;
    for (const table of connector.tables) {
      if (!replica.staging.tables.get(table)) await replica.staging.tables.ensure(client, await this.#o.shapeOf(table));
    }
    if (this.#isWithheld()) return false;
    const started = performance.now();
    await swapIn(client, {
      connector,
      schemas,
      live: replica.live.tables,
      staging: replica.staging.tables,
    });
    await replica.live.incomplete.load(client);
    await replica.staging.incomplete.load(client);
    replica.projection.reset();
    await replica.projection.markAll(client);
    await this.#project(position);
    await store.update(
      client,
      'staging_id = NULL, staging_begun_at = NULL, staging_ended = false, projection_hash = $2',
      [replica.projection.hash],
    );
    this.#staging = null;
    this.#withheld = undefined;
    log.info({ event: 'replica_swapped', ms: Math.round(performance.now() - started) }, 'the staging copy is live now');
    return true;
  }

  /** Whether no documents can be made of the staging copy: then the live one stays as it is. */
  #isWithheld(): boolean {
    const { connector, replica, log } = this.#o;
    const mistakes = unfitness(connector, replica.staging.tables);
    const told = mistakes.join('; ');
    if (mistakes.length > 0 && this.#withheld !== told) {
      log.error(
        { event: 'connector_unfit', mistakes },
        `SIIRAyS has no longer what connector ${connector.name} reads, so that its documents stay as they are. Change SIIRAyS back, or the connector's file, and start the consumer again: ${told}`,
      );
    }
    this.#withheld = mistakes.length > 0 ? told : null;
    return mistakes.length > 0;
  }
}

function add(steps: readonly Step[], writer: BatchWriter, batch: Batch): void {
  for (const step of steps) {
    if (step.kind === 'events') {
      writer.add(step.table, step.events);
    } else {
      batch.units += 1;
      batch.events += step.kind === 'end' ? step.events : 0;
      batch.end = step.record;
    }
  }
}
