import type { Message } from 'kafkajs';
import type { Op, TableShape } from '../kafka/change-event.ts';
import type { TransactionContext } from '../kafka/envelope-encoder.ts';
import type { Topics } from '../kafka/topics.ts';
import { encodeTransactionRecord, type TransactionRecord } from '../kafka/transaction-record.ts';
import type { Tuple } from '../kafka/tuple.ts';
import { formatLsn, type Lsn, parseLsn } from '../postgres/lsn.ts';
import type { Chunk } from './chunk.ts';
import { DeliveredXids } from './delivered-xids.ts';
import type { Outgoing } from './outgoing.ts';
import { type PgoutputMessage, parsePgoutput, type RelationMessage } from './pgoutput.ts';
import type { FoundBroken, PendingRequest, Position } from './position.ts';
import type { PublicationStart } from './publication-start.ts';
import type { TableWriter } from './table-encoders.ts';
import type { TableEras } from './table-eras.ts';

export interface ChangeStreamOptions {
  outgoing: Outgoing;
  topics: Topics;
  /** The position in Kafka; what lies below it is skipped. */
  position: Position;
  /** The slot's confirmed position: every transaction whose commit lies at or above it comes. */
  startedAt: Lsn;
  /** What it has noted goes into each position. */
  publicationStart: PublicationStart;
  /** Likewise. */
  eras: TableEras;
  /** Schema ids of the transaction topic. */
  transactionIds: { key: number; value: number };
  /** The writer of a relation, where it is known at once. */
  known(relation: RelationMessage): TableWriter | undefined;
  now(): number;
}

/** A table whose rows may have changed without events. */
export interface TurnedTable {
  /** `schema.table` */
  name: string;
  /** Null where it is published no more. */
  oid: number | null;
  /** Of the table as it is now. */
  writer: TableWriter | null;
}

/** The history is broken in a way that only the stream itself shows. */
export class BrokenHistory extends Error {
  readonly found: FoundBroken;

  constructor(found: FoundBroken) {
    super(`history ${found.history} is broken: ${found.reason}`);
    this.found = found;
  }
}

interface OpenTransaction {
  context: TransactionContext;
  xid: number;
  /** Whether its BEGIN is written; a transaction without events leaves no trace. */
  begun: boolean;
  skipped: boolean;
  total: number;
  touched: TableWriter[];
}

/**
 * Turns pgoutput's messages into Kafka's, one SIIRAyS transaction after the other, and puts chunks between them.
 * Synchronous: what needs waiting (a relation that is not known yet) is told to the caller, who holds back the stream.
 */
export class ChangeStream {
  readonly #options: ChangeStreamOptions;
  readonly #outgoing: Outgoing;
  readonly #relations = new Map<number, TableWriter>();
  readonly #chunks = new Set<Chunk>();
  readonly delivered: DeliveredXids;
  #position: Position;
  #resumedAt: Lsn;
  #transaction: OpenTransaction | null = null;
  #lastSkipped: Position['last'] = null;
  #continuous = false;
  #passed: Lsn = 0n;
  /** What the last position given to `outgoing` says. */
  #written: Lsn;

  constructor(options: ChangeStreamOptions) {
    this.#options = options;
    this.#outgoing = options.outgoing;
    this.#position = options.position;
    this.#resumedAt = options.position.end_lsn;
    this.#written = options.position.end_lsn;
    this.delivered = new DeliveredXids(options.position.unseen);
  }

  /** What holds once everything handed to `outgoing` is in Kafka. */
  get position(): Position {
    return this.#position;
  }

  /** Everything that the server committed below this LSN has been handled. */
  get passed(): Lsn {
    return this.#passed;
  }

  /** Whether the stream has reached the position, and has been found to be what was written below it. */
  get isContinuous(): boolean {
    return this.#continuous;
  }

  get inTransaction(): boolean {
    return this.#transaction !== null;
  }

  /**
   * Handles one message. Returns the relation where it is one that nobody knows yet: the caller resolves it, gives it to
   * `learn`, and only then goes on.
   */
  handle(lsn: string, buffer: Buffer): RelationMessage | null {
    const message = parsePgoutput(buffer);
    switch (message.tag) {
      case 'change':
        this.#change(lsn, message);
        return null;
      case 'begin':
        this.#begin(message);
        return null;
      case 'commit':
        this.#commit(message);
        return null;
      case 'truncate':
        for (const oid of message.relations) this.#event('t', this.#writer(oid), null, null, lsn);
        return null;
      case 'relation': {
        const writer = this.#options.known(message.relation);
        if (!writer) return message.relation;
        this.learn(message.relation, writer);
        return null;
      }
      case 'other':
        return null;
    }
  }

  /** From now on the relation's events are written by this writer. */
  learn(relation: RelationMessage, writer: TableWriter): void {
    this.#relations.set(relation.oid, writer);
    for (const chunk of this.#chunks) {
      if (chunk.table === writer.name) chunk.describe(writer.encoder.shape.fingerprint);
    }
  }

  /** The server says that it has sent everything below `lsn`. */
  keepalive(lsn: string): void {
    if (this.#transaction) return;
    const at = parseLsn(lsn);
    if (at >= this.#resumedAt) this.#checkContinuity();
    if (at > this.#passed) this.#passed = at;
  }

  /**
   * Writes a position that has moved forward over WAL that holds nothing of ours, empty transactions included (before
   * PostgreSQL 15 every foreign one comes as such). Between transactions only.
   */
  advance(): void {
    if (this.#transaction) return;
    let end = this.#position.end_lsn;
    if (this.#passed > end) end = this.#passed;
    if (end > this.#written) this.#end({ ...this.#position, end_lsn: end });
  }

  /** Writes the position as it is, changed in what concerns requests. Between transactions only. */
  update(change: Partial<Pick<Position, 'signal_offset' | 'accepted' | 'requests'>>, write: boolean): void {
    this.#position = { ...this.#position, ...change };
    if (write) this.#end(this.#position);
  }

  /**
   * From now on the chunk hears of its table's changes. Returns the transactions of which it has not heard, the one under
   * way included: its first changes are gone.
   */
  watch(chunk: Chunk): DeliveredXids {
    this.#chunks.add(chunk);
    const before = this.delivered.copy();
    if (this.#transaction) before.add(this.#transaction.xid);
    return before;
  }

  unwatch(chunk: Chunk): void {
    this.#chunks.delete(chunk);
  }

  /**
   * Publishes rows at this place of the stream, as a transaction of kind chunk. Between transactions only.
   * @param truncate whether the table is emptied first: what replaces a table without a key
   * @param absent keys that were asked for and that SIIRAyS does not have: published as deletions
   */
  publishChunk(
    writer: TableWriter,
    rows: Iterable<Tuple>,
    truncate: boolean,
    absent: Tuple[],
    requests: PendingRequest[],
  ): number {
    const seq = this.#position.seq + 1n;
    const context: TransactionContext = {
      id: `chunk:${this.#position.history}:${seq}`,
      txId: null,
      commitLsn: this.#position.end_lsn,
      commitMs: this.#options.now(),
      nowMs: this.#options.now(),
      snapshot: true,
    };
    this.#transaction = { context, xid: 0, begun: false, skipped: false, total: 0, touched: [] };
    const lsn = formatLsn(this.#position.end_lsn);
    this.#writeBegin('chunk');
    if (truncate) this.#event('t', writer, null, null, lsn);
    // First, since a key that is there in another text only is told as both: the old text goes, the row comes.
    for (const row of absent) this.#event('d', writer, row, null, lsn);
    for (const row of rows) this.#event('r', writer, null, row, lsn);
    const events = this.#transaction.total;
    this.#writeEnd('chunk', this.#position.end_lsn, { requests });
    return events;
  }

  /** Publishes a bound of a full snapshot. Between transactions only. */
  publishSnapshotBound(status: 'BEGIN' | 'END', request: PendingRequest, requests: PendingRequest[]): void {
    const seq = this.#position.seq + 1n;
    this.#record({
      status,
      seq: String(seq),
      kind: 'snapshot',
      id: `snapshot:${request.id}`,
      eventCount: null,
      dataCollections: null,
      tsMs: this.#options.now(),
      endLsn: String(this.#position.end_lsn),
      snapshot: { requestId: request.id, connector: request.connector, tables: request.tables },
    });
    this.#end({ ...this.#position, seq, requests });
  }

  /**
   * Tells that tables are no longer what they were; from here on their events say so, too. Where the stream is behind a
   * change of the columns it describes them itself when it comes there. Between transactions only.
   */
  turn(turned: readonly TurnedTable[]): void {
    for (const { oid, writer } of turned) {
      if (oid === null || !writer) continue;
      const current = this.#relations.get(oid);
      if (current && sameColumns(current.encoder.shape, writer.encoder.shape)) this.#relations.set(oid, writer);
      for (const chunk of this.#chunks) {
        if (chunk.table === writer.name) chunk.describe(writer.encoder.shape.fingerprint);
      }
    }
    const seq = this.#position.seq + 1n;
    this.#record({
      status: 'END',
      seq: String(seq),
      kind: 'shape',
      id: `shape:${this.#position.history}:${seq}`,
      eventCount: null,
      dataCollections: null,
      tsMs: this.#options.now(),
      endLsn: String(this.#position.end_lsn),
      snapshot: null,
      shapes: turned.map(({ name, writer }) => ({
        table: name,
        fingerprint: writer?.encoder.shape.fingerprint ?? null,
      })),
    });
    this.#end({ ...this.#position, seq });
  }

  #begin({ commitLsn, commitMs, xid }: Extract<PgoutputMessage, { tag: 'begin' }>): void {
    const skipped = commitLsn < this.#resumedAt;
    if (!skipped) this.#checkContinuity();
    const context: TransactionContext = {
      id: `${xid}:${commitLsn}`,
      txId: xid,
      commitLsn,
      commitMs,
      nowMs: this.#options.now(),
      snapshot: false,
    };
    this.#transaction = { context, xid, begun: false, skipped, total: 0, touched: [] };
  }

  #commit({ commitLsn, endLsn }: Extract<PgoutputMessage, { tag: 'commit' }>): void {
    const transaction = this.#transaction;
    if (!transaction) throw new Error('a COMMIT without a BEGIN in the replication stream');
    this.delivered.add(transaction.xid);
    this.#passed = endLsn;
    const last = { txId: transaction.xid, commit_lsn: commitLsn, commit_ts: transaction.context.commitMs };
    if (transaction.skipped) {
      this.#lastSkipped = last;
      this.#transaction = null;
      return;
    }
    if (transaction.begun) {
      this.#writeEnd('stream', endLsn, { last });
    } else {
      this.#transaction = null;
      this.#position = { ...this.#position, end_lsn: endLsn, last };
    }
  }

  #change(lsn: string, { op, relation, before, after }: Extract<PgoutputMessage, { tag: 'change' }>): void {
    this.#event(op, this.#writer(relation), before, after, lsn);
  }

  #writer(oid: number): TableWriter {
    const writer = this.#relations.get(oid);
    if (!writer) throw new Error(`the stream sent a change of relation ${oid} without describing it first`);
    return writer;
  }

  #event(op: Op, writer: TableWriter, before: Tuple | null, after: Tuple | null, lsn: string): void {
    const transaction = this.#transaction;
    if (!transaction) throw new Error('a change outside a transaction in the replication stream');
    // A chunk need not hear of it: what no snapshot has shown yet is among the position's unseen transactions.
    if (transaction.skipped) return;
    if (!transaction.begun) this.#writeBegin('stream');
    if (writer.events === 0) transaction.touched.push(writer);
    writer.events++;
    transaction.total++;
    const slash = lsn.indexOf('/');
    const place = {
      lsnHigh: Number.parseInt(lsn.slice(0, slash), 16),
      lsnLow: Number.parseInt(lsn.slice(slash + 1), 16),
      totalOrder: transaction.total,
      collectionOrder: writer.events,
    };
    this.#outgoing.add(writer.topic, writer.encoder.encode(op, before, after, transaction.context, place) as Message);
    if (this.#chunks.size > 0 && op !== 'r' && !transaction.context.snapshot) {
      this.#tellChunks(transaction.xid, writer, op, before, after);
    }
  }

  /** Tuples are copied once: the message that they lie in is valid during the call only. */
  #tellChunks(xid: number, writer: TableWriter, op: Exclude<Op, 'r'>, before: Tuple | null, after: Tuple | null): void {
    const shape = writer.encoder.shape.fingerprint;
    for (const chunk of this.#chunks) {
      if (chunk.table !== writer.name) continue;
      chunk.change(xid, { op, shape, before: before && Buffer.from(before), after: after && Buffer.from(after) });
    }
  }

  #writeBegin(kind: 'stream' | 'chunk'): void {
    const transaction = this.#transaction!;
    transaction.begun = true;
    this.#record({
      status: 'BEGIN',
      seq: String(this.#position.seq + 1n),
      kind,
      id: transaction.context.id,
      eventCount: null,
      dataCollections: null,
      tsMs: transaction.context.commitMs,
      endLsn: String(kind === 'chunk' ? this.#position.end_lsn : transaction.context.commitLsn),
      snapshot: null,
    });
  }

  #writeEnd(kind: 'stream' | 'chunk', endLsn: Lsn, change: Partial<Position>): void {
    const transaction = this.#transaction!;
    const seq = this.#position.seq + 1n;
    this.#record({
      status: 'END',
      seq: String(seq),
      kind,
      id: transaction.context.id,
      eventCount: transaction.total,
      dataCollections: transaction.touched.map(({ name, events }) => ({ dataCollection: name, eventCount: events })),
      tsMs: transaction.context.commitMs,
      endLsn: String(endLsn),
      snapshot: null,
    });
    for (const writer of transaction.touched) writer.events = 0;
    this.#transaction = null;
    this.#end({ ...this.#position, ...change, seq, end_lsn: endLsn });
  }

  #record(record: Omit<TransactionRecord, 'history'>): void {
    const { topics, transactionIds } = this.#options;
    const full = { ...record, history: this.#position.history };
    this.#outgoing.add(topics.transaction, encodeTransactionRecord(full, transactionIds));
  }

  #end(position: Position): void {
    const published = this.#options.publicationStart.noted;
    const eras = this.#options.eras.noted;
    this.#position = { ...position, unseen: this.delivered.list(), published, eras };
    this.#written = position.end_lsn;
    this.#outgoing.end(this.#position);
  }

  /**
   * Once, when the stream reaches the position: the last transaction that came below it must be the last one that is in
   * Kafka, else this is another past than the one that was written. A server that was put back to an older copy gives the
   * same transaction ids again, and may reach the same LSN with them: the time of the commit tells them apart.
   */
  #checkContinuity(): void {
    if (this.#continuous) return;
    const { last } = this.#position;
    const seen = this.#lastSkipped;
    const same =
      seen?.txId === last?.txId && seen?.commit_lsn === last?.commit_lsn && seen?.commit_ts === last?.commit_ts;
    // What was confirmed before is not sent again.
    const below = seen === null && last !== null && last.commit_lsn < this.#options.startedAt;
    if (!same && !below) {
      throw new BrokenHistory({
        history: this.#position.history,
        reason: `the last transaction below ${formatLsn(this.#resumedAt)} is ${named(seen)}, not ${named(last)}`,
      });
    }
    this.#continuous = true;
  }
}

function named(last: Position['last']): string {
  if (!last) return 'none';
  return `${last.txId} at ${formatLsn(last.commit_lsn)} of ${new Date(last.commit_ts).toISOString()}`;
}

function sameColumns(one: TableShape, other: TableShape): boolean {
  return JSON.stringify([one.columns, one.key]) === JSON.stringify([other.columns, other.key]);
}
