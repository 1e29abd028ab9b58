import type { TableShape } from '../kafka/change-event.ts';
import { fillUnchanged, type Tuple, tupleKey } from '../kafka/tuple.ts';
import { isLooselyEqual } from '../postgres/loose-equality.ts';
import type { Lsn } from '../postgres/lsn.ts';
import type { DeliveredXids } from './delivered-xids.ts';
import { sees, type XidSnapshot } from './xid-snapshot.ts';

/** A change of the chunk's table; tuples are copies that may be kept. */
export interface HeldChange {
  op: 'c' | 'u' | 'd' | 't';
  /** Fingerprint of the shape in which the stream sent it. */
  shape: string;
  before: Tuple | null;
  after: Tuple | null;
}

/** What one read of a part of a table gave. */
export interface ChunkRead {
  shape: TableShape;
  rows: Tuple[];
  snapshot: XidSnapshot;
  /** Every commit that the snapshot sees lies below this LSN. */
  barrier: Lsn;
}

/**
 * A part of a table between its read and its place in the stream. While it is read and held, transactions that its
 * snapshot does not see are applied to it, so that at the place where it is published it holds what the table holds
 * there. Pure: no clock, no I/O.
 */
export class Chunk {
  /** `schema.table` */
  readonly table: string;
  readonly #limit: number;
  #log: { xid: number; change: HeldChange; bytes: number }[] | null = [];
  #logBytes = 0;
  #read: ChunkRead | null = null;
  #keyed = new Map<string, Tuple>();
  #bag: Map<string, { row: Tuple; count: number }> | null = null;
  /** It cannot be published, whatever comes: it has to be read again. */
  #spoilt = false;
  /** Fingerprints of the shapes in which the stream has described the table since the read began. */
  readonly #described = new Set<string>();
  #absent = new Map<string, Tuple>();
  /** Keys of other texts may be one key. */
  #loose = false;

  /** @param limit bytes of changes that may gather during the read; more, and the chunk is read again */
  constructor(table: string, limit: number) {
    this.table = table;
    this.#limit = limit;
  }

  /** Takes note of a change in the stream. Before the read has arrived it is only kept. */
  change(xid: number, change: HeldChange): void {
    if (this.#log) {
      const bytes = (change.before?.length ?? 0) + (change.after?.length ?? 0) + 64;
      this.#logBytes += bytes;
      if (this.#logBytes > this.#limit) {
        this.#spoilt = true;
        this.#log.length = 0;
      } else {
        this.#log.push({ xid, change, bytes });
      }
      return;
    }
    if (!sees(this.#read!.snapshot, xid)) this.#apply(change);
  }

  /** The stream has described the table, as it does before the first change of a new shape. */
  describe(shape: string): void {
    this.#described.add(shape);
  }

  /**
   * Takes what was read. Returns false where it has to be read again: a transaction that had been delivered before the
   * read began is not seen by it, or too much changed meanwhile.
   * @param absent rows of nothing but the key: asked-for keys that the read did not find
   */
  arrive(read: ChunkRead, deliveredBefore: DeliveredXids, absent: Tuple[] = []): boolean {
    if (this.#spoilt || deliveredBefore.anyUnseen(read.snapshot)) return false;
    const log = this.#log!;
    this.#log = null;
    this.#read = read;
    this.#loose = read.shape.key.some((place) => isLooselyEqual(read.shape.columns[place]!.type));
    if (read.shape.key.length > 0) {
      for (const row of read.rows) this.#keyed.set(tupleKey(row, read.shape.key), row);
      for (const row of absent) this.#absent.set(tupleKey(row, read.shape.key), row);
    } else {
      this.#bag = new Map();
      for (const row of read.rows) this.#put(row, 1);
    }
    for (const { xid, change } of log) if (!sees(read.snapshot, xid)) this.#apply(change);
    return !this.#spoilt;
  }

  /**
   * Whether it may be published at this place of the stream: not where the table has been described in another shape
   * since the read began. An older description is no hindrance: the read has seen the change of the table, though the
   * stream sends no description before the next row.
   */
  get fits(): boolean {
    if (this.#spoilt || !this.#read) return false;
    for (const shape of this.#described) if (shape !== this.#read.shape.fingerprint) return false;
    return true;
  }

  get shape(): TableShape | null {
    return this.#read?.shape ?? null;
  }

  /** The LSN that the stream must have passed; null while the rows are not there. */
  get barrier(): Lsn | null {
    return this.#read?.barrier ?? null;
  }

  /** A lower barrier was found: the server's flush position, read long enough after the snapshot. */
  lowerBarrier(lsn: Lsn): void {
    if (this.#read && lsn < this.#read.barrier) this.#read.barrier = lsn;
  }

  /** The rows as they are at this place of the stream. */
  *rows(): Generator<Tuple> {
    if (this.#bag) {
      for (const { row, count } of this.#bag.values()) for (let i = 0; i < count; i++) yield row;
    } else {
      yield* this.#keyed.values();
    }
  }

  /** Asked-for keys that SIIRAyS does not have at this place of the stream, unless the stream itself said so. */
  absent(): Tuple[] {
    return [...this.#absent.values()];
  }

  #apply(change: HeldChange): void {
    if (change.shape !== this.#read!.shape.fingerprint) {
      this.#spoilt = true;
      return;
    }
    if (change.op === 't') {
      this.#keyed.clear();
      this.#bag?.clear();
    } else if (this.#bag) {
      this.#applyToBag(change);
    } else {
      this.#applyToKeyed(change);
    }
  }

  /**
   * An inserted row is not taken in: the stream has delivered it already, whole. An updated one is, since the stream
   * delivered placeholders for what is here; what moved here from elsewhere likewise was delivered by the stream.
   */
  #applyToKeyed({ op, before, after }: HeldChange): void {
    const places = this.#read!.shape.key;
    if (after && this.#absent.size > 0) {
      const come = tupleKey(after, places);
      this.#absent.delete(come);
      // A row that has come may be one of the absent ones in another text: deleting that key would delete it.
      if (this.#loose && (op === 'c' || (before && tupleKey(before, places) !== come))) this.#spoilt = true;
    }
    if (op === 'c') return;
    const key = tupleKey(before ?? after!, places);
    const held = this.#keyed.get(key);
    if (!held) return;
    this.#keyed.delete(key);
    if (op === 'u') this.#keyed.set(tupleKey(after!, places), fillUnchanged(after!, held));
  }

  /** Without a key the chunk replaces the whole table, so that insertions belong to it too. */
  #applyToBag({ before, after }: HeldChange): void {
    if (before) this.#put(before, -1);
    if (after) this.#put(before ? fillUnchanged(after, before) : after, 1);
  }

  #put(row: Tuple, count: number): void {
    const bag = this.#bag!;
    const key = row.toString('latin1');
    const held = bag.get(key);
    const sum = (held?.count ?? 0) + count;
    if (sum === 0) bag.delete(key);
    else bag.set(key, { row, count: sum });
  }
}
