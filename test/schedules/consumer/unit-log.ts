import type { ChangeEvent } from '../../../src/kafka/change-event.ts';
import type { TransactionRecord } from '../../../src/kafka/transaction-record.ts';
import { eventOf, record, shapeOf, snapshotRecord } from '../../consumer/change-events.ts';

export const TABLES = ['a', 'b', 'c'].map((table) => ({ topic: `t.public.${table}`, collection: `public.${table}` }));
export const TRANSACTION = 't.transaction';
const SHAPES = ['a', 'b', 'c'].map((table) => shapeOf(table, { id: 'integer' }, ['id']));

export type Message = { offset: string; record: TransactionRecord } | { offset: string; event: ChangeEvent };

/** A unit as a consumer has to apply it. */
export interface LoggedUnit {
  history: number;
  seq: number;
  /** The request's id, where it is the BEGIN of a full snapshot of this connector. */
  begins: string | null;
  /** Offsets of its events, by table. */
  events: string[][];
  /** Why it cannot be applied after the one before it. */
  broken: string | null;
}

/** The topics as the producer fills them; commit markers and aborted messages leave gaps between offsets. */
export class UnitLog {
  readonly #random: (below: number) => number;
  readonly topics = new Map<string, Message[]>([TRANSACTION, ...TABLES.map(({ topic }) => topic)].map((t) => [t, []]));
  readonly units: LoggedUnit[] = [];
  #history = 1;
  #seq = 0;

  constructor(random: (below: number) => number) {
    this.#random = random;
  }

  /** A transaction of SIIRAyS, or a chunk, over these tables and one that nobody of us reads. */
  unit(lost = false): void {
    this.#seq += 1;
    const counts = TABLES.map((): number => (this.#random(3) === 0 ? 1 + this.#random(5) : 0));
    if (lost && counts.every((count) => count < 1)) counts[this.#random(3)] = 1;
    const named: Record<string, number> = Object.fromEntries(
      TABLES.map(({ collection }, i) => [collection, counts[i]!] as const).filter(([, count]) => count > 0),
    );
    if (this.#random(4) === 0) named['public.foreign'] = 1;
    const id = `${this.#history}:${this.#seq}`;
    const change = { history: this.#history, id };
    this.#records(record('BEGIN', this.#seq, named, change), record('END', this.#seq, named, change));
    const without = lost ? counts.findLastIndex((count) => count > 0) : -1;
    const events = TABLES.map((_, table) =>
      Array.from({ length: counts[table]! - (table === without ? 1 : 0) }, () => this.#event(table, id)),
    );
    this.#note({ begins: null, events, broken: lost ? 'an event is lost' : null });
  }

  /** A bound of a full snapshot. */
  bound(status: 'BEGIN' | 'END', requestId: string, connector: string): void {
    this.#seq += 1;
    this.#records({ ...snapshotRecord(status, this.#seq, requestId, connector), history: this.#history });
    const mine = connector === 'epsa' && status === 'BEGIN';
    this.#note({ begins: mine ? requestId : null, events: TABLES.map(() => []), broken: null });
  }

  /** A unit is missing. */
  hole(): void {
    this.#seq += 1;
    this.unit();
    this.units.at(-1)!.broken = 'a hole';
  }

  newHistory(): void {
    this.#history += 1;
    this.#seq = 0;
    this.unit();
    this.units.at(-1)!.broken = 'another history';
  }

  #note(unit: Pick<LoggedUnit, 'begins' | 'events' | 'broken'>): void {
    this.units.push({ history: this.#history, seq: this.#seq, ...unit });
  }

  #records(...records: TransactionRecord[]): void {
    for (const one of records) {
      const offset = this.#nextOffset(TRANSACTION);
      this.topics.get(TRANSACTION)!.push({ offset, record: one });
    }
  }

  #event(table: number, transactionId: string): string {
    const { topic } = TABLES[table]!;
    const offset = this.#nextOffset(topic);
    const event = eventOf(SHAPES[table]!, { op: 'c', after: [offset], transactionId, offset });
    this.topics.get(topic)!.push({ offset, event });
    return offset;
  }

  /** The end of a topic. */
  end(topic: string): bigint {
    const last = this.topics.get(topic)!.at(-1);
    return last ? BigInt(last.offset) + 1n : 0n;
  }

  #nextOffset(topic: string): string {
    return String(this.end(topic) + (this.#random(4) === 0 ? 1n : 0n));
  }
}
