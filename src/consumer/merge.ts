import type { ChangeEvent } from '../kafka/change-event.ts';
import type { TransactionRecord } from '../kafka/transaction-record.ts';
import { BrokenHistory } from './broken-history.ts';
import { MergeQueue } from './merge-queue.ts';

/** A record of the transaction topic with its place there. */
export interface PlacedRecord {
  record: TransactionRecord;
  offset: string;
  bytes: number;
}

/** A table topic: `collection` is the name that END records count it under (schema.table). */
export interface MergedTable {
  topic: string;
  collection: string;
}

export interface MergeOptions {
  /** Snapshots of other connectors are passed over. */
  connector: string;
  transactionTopic: string;
  tables: readonly MergedTable[];
  /** Limit of each queue. */
  queueBytes: number;
  /** First offset to be read of each topic; a topic that is missing here starts at 0. */
  offsets: ReadonlyMap<string, bigint>;
  /** The last unit that the checkpoint holds; ignored while `awaited` is set. */
  position: { history: number; seq: bigint } | null;
  /** The id of a full snapshot that was asked for: everything before its BEGIN is dropped. */
  awaited: string | null;
  /** How long a table topic may have been read to its end without the event that END promises. */
  patienceMs?: number;
}

/** What the merge hands out: whole units in order, each drained as far as its events have come. */
export type Step =
  | { kind: 'events'; table: number; events: ChangeEvent[] }
  /** A unit is complete, its counts are right. Also a unit that has nothing for this connector. */
  | { kind: 'end'; record: TransactionRecord; events: number }
  /** BEGIN or END of a full snapshot of this connector; always handed out alone. */
  | { kind: 'snapshot'; record: TransactionRecord }
  /** Tables of this connector are no longer what they were; always handed out alone. */
  | { kind: 'shape'; record: TransactionRecord };

interface Unit {
  record: TransactionRecord;
  /** Tables that still lack events. */
  missing: { table: number; events: number }[];
  events: number;
}

const PATIENCE_MS = 30_000;
/** A sign of life that comes later than this after the last one does not prove that reading went on in between. */
const SIGN_GAP_MS = 10_000;

/**
 * Merges the topic queues into SIIRAyS's transactions, in commit order. A pure state machine: messages and the time are
 * given to it, steps are taken from it.
 *
 * A unit starts when its END is there too: the producer writes a unit within one Kafka transaction, so a read_committed
 * reader sees both at once, and knows from the start how many events each table owes.
 *
 * A queue is **aligned** once an event of an expected unit was met in it. Until then it may hold events of units that are
 * passed over: reading started before the BEGIN of the awaited snapshot, or units are read again; and a checkpoint that was
 * written before the queue was needed has its offset from back then. Such events need not be matched with their records:
 * in commit order they stand before the first wanted one, so they are dropped when a unit needs that queue. In an aligned
 * queue a foreign event is broken history at once; in one that is not, what is missing shows by not coming.
 */
export class Merge {
  readonly #connector: string;
  readonly #records: MergeQueue<PlacedRecord>;
  readonly #tables: MergeQueue<ChangeEvent>[];
  readonly #aligned: boolean[];
  readonly #tableByTopic: Map<string, number>;
  readonly #tableByCollection: Map<string, number>;
  readonly #patienceMs: number;
  #position: { history: number; seq: bigint } | null;
  #awaited: string | null;
  #unit: Unit | null = null;
  #stalledSince: number | null = null;
  #lastSign = 0;

  constructor(options: MergeOptions) {
    const start = (topic: string) => options.offsets.get(topic) ?? 0n;
    this.#connector = options.connector;
    // BEGIN and END have to fit together, since a unit starts only when both are there.
    this.#records = new MergeQueue(options.transactionTopic, start(options.transactionTopic), options.queueBytes, 2);
    this.#tables = options.tables.map(({ topic }) => new MergeQueue(topic, start(topic), options.queueBytes, 1));
    this.#tableByTopic = new Map(options.tables.map(({ topic }, table) => [topic, table]));
    this.#tableByCollection = new Map(options.tables.map(({ collection }, table) => [collection, table]));
    this.#position = options.position;
    this.#awaited = options.awaited;
    this.#aligned = options.tables.map(() => false);
    this.#patienceMs = options.patienceMs ?? PATIENCE_MS;
    if (this.#position === null && this.#awaited === null) throw new RangeError('neither a position nor a snapshot');
  }

  /** Whether another message of the topic may be offered now. A caller that is refused pauses and sees `resumable`. */
  hasRoom(topic: string): boolean {
    return this.#queue(topic).hasRoom();
  }

  offerRecord(placed: PlacedRecord): void {
    this.#records.push(placed);
  }

  offerEvent(topic: string, event: ChangeEvent): void {
    this.#tables[this.#tableByTopic.get(topic)!]!.push(event);
  }

  /** The topics that were refused and now have room again; each is told once. */
  resumable(): string[] {
    return [this.#records, ...this.#tables].filter((queue) => queue.resumable()).map((queue) => queue.topic);
  }

  /** Whether a unit is handed out in part: what was taken so far must not be committed. */
  get isMidUnit(): boolean {
    return this.#unit !== null;
  }

  /** The last unit that was handed out whole. */
  get position(): { history: number; seq: bigint } | null {
    return this.#position;
  }

  /** The snapshot that is still waited for. */
  get awaited(): string | null {
    return this.#awaited;
  }

  /** Bytes in all queues. */
  get queuedBytes(): number {
    return this.#tables.reduce((sum, queue) => sum + queue.bytes, this.#records.bytes);
  }

  /** Records that wait: two per unit. */
  get waitingRecords(): number {
    return this.#records.length;
  }

  /** Next offset per topic: right for a checkpoint whenever no unit is under way. */
  offsets(): Map<string, bigint> {
    return new Map([this.#records, ...this.#tables].map((queue) => [queue.topic, queue.next]));
  }

  /**
   * Takes what is there, about `budget` bytes of events at most, and ends at a unit's end once the budget is used up
   * (a larger unit is cut). A snapshot's record comes alone.
   * @throws BrokenHistory
   */
  take(budget: number): Step[] {
    return this.#take(budget, false);
  }

  /** Takes what is there of the unit under way, and nothing behind it: a batch that is large enough ends with it. */
  takeRest(budget: number): Step[] {
    return this.#take(budget, true);
  }

  #take(budget: number, rest: boolean): Step[] {
    const steps: Step[] = [];
    let left = budget;
    while (left > 0) {
      if (this.#unit === null) {
        if (rest) break;
        const next = this.#nextRecord();
        if (next === null) break;
        if (this.#isOurs(next)) {
          if (steps.length > 0) break;
          this.#passRecord(next);
          steps.push({ kind: next.kind as 'snapshot' | 'shape', record: next });
          break;
        }
        if (next.kind === 'snapshot' || next.kind === 'shape') {
          this.#passRecord(next);
          steps.push({ kind: 'end', record: next, events: 0 });
          continue;
        }
        this.#unit = this.#beginUnit(next);
        if (this.#unit === null) break;
      }
      left -= this.#drain(this.#unit, steps, left);
      if (this.#unit.missing.length > 0) break;
      this.#position = { history: this.#unit.record.history, seq: BigInt(this.#unit.record.seq) };
      steps.push({ kind: 'end', record: this.#unit.record, events: this.#unit.events });
      this.#unit = null;
      left -= 1;
    }
    if (steps.length > 0) this.#stalledSince = null;
    return steps;
  }

  /**
   * A sign that the reader is connected and reading (a monotonic time in milliseconds). Where such signs come for the
   * whole patience while a unit lacks an event and its topic gives none, the event does not exist.
   * @throws BrokenHistory
   */
  signOfLife(nowMs: number): void {
    const empty = this.#unit?.missing.find(({ table }) => this.#tables[table]!.length === 0);
    const gap = nowMs - this.#lastSign > SIGN_GAP_MS;
    this.#lastSign = nowMs;
    if (empty === undefined) this.#stalledSince = null;
    else if (this.#stalledSince === null || gap) this.#stalledSince = nowMs;
    else if (nowMs - this.#stalledSince >= this.#patienceMs) {
      throw new BrokenHistory(
        `unit ${this.#unit!.record.seq} lacks ${empty.events} events that ${this.#tables[empty.table]!.topic} does not hold`,
      );
    }
  }

  #queue(topic: string): MergeQueue<PlacedRecord> | MergeQueue<ChangeEvent> {
    if (topic === this.#records.topic) return this.#records;
    const table = this.#tableByTopic.get(topic);
    if (table === undefined) throw new RangeError(`not a topic of this merge: ${topic}`);
    return this.#tables[table]!;
  }

  /** The record that comes next, with everything passed over that lies before the position. Not yet removed. */
  #nextRecord(): TransactionRecord | null {
    for (;;) {
      const record = this.#records.peek()?.record;
      if (record === undefined) return null;
      if (this.#awaited !== null) {
        if (isBeginOf(record, this.#awaited)) return record;
      } else {
        const position = this.#position!;
        if (record.history > position.history) {
          throw new BrokenHistory(`history ${record.history} follows history ${position.history}`);
        }
        const seq = BigInt(record.seq);
        if (record.history === position.history && seq === position.seq + 1n) return record;
        if (record.history === position.history && seq > position.seq) {
          throw new BrokenHistory(`unit ${seq} follows unit ${position.seq} of history ${position.history}`);
        }
      }
      this.#records.shift();
    }
  }

  /** Whether it is a record without events that concerns this connector. */
  #isOurs({ kind, snapshot, shapes }: TransactionRecord): boolean {
    if (kind === 'shape') return shapes!.some(({ table }) => this.#tableByCollection.has(table));
    return kind === 'snapshot' && snapshot?.connector === this.#connector;
  }

  #passRecord(record: TransactionRecord): void {
    this.#records.shift();
    this.#position = { history: record.history, seq: BigInt(record.seq) };
    if (this.#awaited !== null && isBeginOf(record, this.#awaited)) this.#awaited = null;
  }

  /** Begins the unit whose BEGIN is first in the queue; null where its END has not come yet. */
  #beginUnit(begin: TransactionRecord): Unit | null {
    const end = this.#records.peek(1)?.record;
    if (end === undefined) return null;
    if (begin.status !== 'BEGIN' || end.status !== 'END' || end.seq !== begin.seq || end.id !== begin.id) {
      throw new BrokenHistory(
        `${begin.status} of unit ${begin.seq} is followed by ${end.status} of unit ${end.seq}, not by its own END`,
      );
    }
    const collections = end.dataCollections ?? [];
    const sum = collections.reduce((total, { eventCount }) => total + eventCount, 0);
    if (sum !== end.eventCount) {
      throw new BrokenHistory(`unit ${end.seq} has ${end.eventCount} events, but ${sum} by its data collections`);
    }
    this.#records.shift();
    this.#records.shift();
    const missing: Unit['missing'] = [];
    for (const { dataCollection, eventCount } of collections) {
      const table = this.#tableByCollection.get(dataCollection);
      if (table !== undefined && eventCount > 0) missing.push({ table, events: eventCount });
    }
    return { record: end, missing, events: 0 };
  }

  /** Takes the unit's events out of the queues; gives the bytes taken. */
  #drain(unit: Unit, steps: Step[], budget: number): number {
    let taken = 0;
    for (const wanted of unit.missing) {
      const queue = this.#tables[wanted.table]!;
      const events: ChangeEvent[] = [];
      while (wanted.events > 0 && taken < budget) {
        const event = queue.peek();
        if (event === undefined) break;
        if (event.transactionId !== unit.record.id) {
          if (this.#aligned[wanted.table]) {
            throw new BrokenHistory(
              `${queue.topic} holds an event of ${event.transactionId} at offset ${event.offset} where unit ${unit.record.seq} (${unit.record.id}) lacks ${wanted.events}`,
            );
          }
          queue.shift();
          continue;
        }
        this.#aligned[wanted.table] = true;
        events.push(queue.shift());
        wanted.events -= 1;
        taken += event.bytes + 1;
      }
      if (wanted.events === 0 && queue.peek()?.transactionId === unit.record.id) {
        throw new BrokenHistory(`${queue.topic} holds more events of unit ${unit.record.seq} than its END counts`);
      }
      unit.events += events.length;
      if (events.length > 0) steps.push({ kind: 'events', table: wanted.table, events });
    }
    unit.missing = unit.missing.filter(({ events }) => events > 0);
    return taken;
  }
}

function isBeginOf(record: TransactionRecord, requestId: string): boolean {
  return record.kind === 'snapshot' && record.status === 'BEGIN' && record.snapshot?.requestId === requestId;
}
