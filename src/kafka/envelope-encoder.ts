import { AvroBytes } from './avro-bytes.ts';
import { type AvroKind, avroKind } from './avro-schema.ts';
import type { Op, TableShape } from './change-event.ts';
import { TUPLE_NULL, TUPLE_TEXT, TUPLE_UNCHANGED, type Tuple } from './tuple.ts';

/** Debezium's stand-in for an unchanged TOASTed value. Readers of ours believe the header `unchanged` only. */
export const UNAVAILABLE = '__debezium_unavailable_value';

/** Header with the shape's fingerprint. */
export const SCHEMA_HEADER = 'schema';
/** Header with a JSON array of the column names whose value is the placeholder. */
export const UNCHANGED_HEADER = 'unchanged';

/** What all events of one transaction share. */
export interface TransactionContext {
  /** `<txId>:<commit LSN>` or a chunk's id. */
  id: string;
  /** SIIRAyS's 32-bit transaction id; null for a chunk. */
  txId: number | null;
  commitLsn: bigint;
  /** Commit time in milliseconds since 1970. */
  commitMs: number;
  /** When the producer handled it, milliseconds since 1970. */
  nowMs: number;
  snapshot: boolean;
}

export interface EncodedMessage {
  key: Buffer | null;
  value: Buffer;
  headers: Record<string, Buffer>;
}

export interface ChangePlace {
  /** LSN of the change: two 32-bit halves, so that no BigInt is made for a row. */
  lsnHigh: number;
  lsnLow: number;
  totalOrder: number;
  collectionOrder: number;
}

/**
 * Writes the messages of one table in one shape, from pgoutput's tuples straight into Avro.
 * Ids are the registry's; the wire format is Confluent's: a zero byte, the id in 32 bits, the Avro body.
 */
export class EnvelopeEncoder {
  readonly shape: TableShape;
  readonly #kinds: AvroKind[];
  readonly #keyPlaces: Set<number>;
  readonly #keyHead: Buffer;
  readonly #valueHead: Buffer;
  readonly #sourceHead: Buffer;
  readonly #sourceTable: Buffer;
  readonly #headers: Record<string, Buffer>;
  readonly #out: AvroBytes;

  constructor(
    shape: TableShape,
    ids: { key: number; value: number },
    source: { version: string; name: string; db: string },
    out: AvroBytes,
  ) {
    this.shape = shape;
    this.#kinds = shape.columns.map((column) => avroKind(column.type));
    this.#keyPlaces = new Set(shape.key.length > 0 ? shape.key : shape.columns.keys());
    this.#keyHead = wireHead(ids.key);
    this.#valueHead = wireHead(ids.value);
    this.#out = out;
    const scratch = new AvroBytes();
    for (const text of [source.version, 'postgresql', source.name]) scratch.string(text);
    this.#sourceHead = scratch.cut();
    for (const text of [source.db, shape.schema, shape.table]) scratch.string(text);
    this.#sourceTable = scratch.cut();
    this.#headers = { [SCHEMA_HEADER]: Buffer.from(shape.fingerprint) };
  }

  /**
   * Encodes one change. `before` and `after` as ChangeEvent describes them; a TRUNCATE has neither, and no key.
   * @throws RangeError where a tuple has another number of columns than the shape
   */
  encode(
    op: Op,
    before: Tuple | null,
    after: Tuple | null,
    transaction: TransactionContext,
    place: ChangePlace,
  ): EncodedMessage {
    const out = this.#out;
    const identity = after ?? before;
    let key: Buffer | null = null;
    if (identity) {
      out.raw(this.#keyHead);
      this.#columns(identity, this.#keyPlaces);
      key = out.cut();
    }
    out.raw(this.#valueHead);
    const unchangedBefore = this.#optionalRow(before);
    const unchanged = this.#optionalRow(after) ?? unchangedBefore;
    this.#source(transaction, place);
    out.string(op);
    out.byte(2);
    out.long(transaction.nowMs);
    out.byte(2);
    out.string(transaction.id);
    out.long(place.totalOrder);
    out.long(place.collectionOrder);
    const value = out.cut();
    const headers = unchanged
      ? { ...this.#headers, [UNCHANGED_HEADER]: Buffer.from(JSON.stringify(unchanged)) }
      : this.#headers;
    return { key, value, headers };
  }

  #optionalRow(tuple: Tuple | null): string[] | null {
    if (!tuple) {
      this.#out.byte(0);
      return null;
    }
    this.#out.byte(2);
    return this.#columns(tuple, null);
  }

  /** Writes the columns (all, or those at `only`); returns the names of unchanged ones. */
  #columns(tuple: Tuple, only: Set<number> | null): string[] | null {
    const out = this.#out;
    const kinds = this.#kinds;
    if (tuple.readUInt16BE(0) !== kinds.length) {
      throw new RangeError(
        `a row of ${this.shape.schema}.${this.shape.table} has ${tuple.readUInt16BE(0)} columns, not ${kinds.length}`,
      );
    }
    let unchanged: string[] | null = null;
    let at = 2;
    for (let i = 0; i < kinds.length; i++) {
      const tag = tuple[at++];
      const skipped = only !== null && !only.has(i);
      if (tag === TUPLE_TEXT) {
        const start = at + 4;
        at = start + tuple.readUInt32BE(at);
        if (skipped) continue;
        out.byte(2);
        this.#value(kinds[i]!, tuple, start, at);
      } else if (tag === TUPLE_NULL) {
        if (!skipped) out.byte(0);
      } else if (tag === TUPLE_UNCHANGED) {
        if (skipped) continue;
        out.byte(2);
        out.string(UNAVAILABLE);
        unchanged ??= [];
        unchanged.push(this.shape.columns[i]!.name);
      } else {
        throw new RangeError(`unknown column tag ${tag} in a row of ${this.shape.schema}.${this.shape.table}`);
      }
    }
    return unchanged;
  }

  #value(kind: AvroKind, source: Buffer, start: number, end: number): void {
    const out = this.#out;
    switch (kind) {
      case 'string':
        out.bytes(source, start, end);
        break;
      case 'int':
        out.long(asciiInteger(source, start, end));
        break;
      case 'long':
        if (end - start <= 15) out.long(asciiInteger(source, start, end));
        else out.bigLong(BigInt(source.toString('latin1', start, end)));
        break;
      case 'boolean':
        out.byte(source[start] === 0x74 ? 1 : 0);
        break;
      // PostgreSQL writes NaN, Infinity and -Infinity as JavaScript does.
      case 'float':
        out.float(Number(source.toString('latin1', start, end)));
        break;
      case 'double':
        out.double(Number(source.toString('latin1', start, end)));
        break;
    }
  }

  #source(transaction: TransactionContext, place: ChangePlace): void {
    const out = this.#out;
    out.raw(this.#sourceHead);
    out.long(transaction.commitMs);
    out.string(transaction.snapshot ? 'true' : 'false');
    out.raw(this.#sourceTable);
    if (transaction.txId === null) {
      out.byte(0);
    } else {
      out.byte(2);
      out.long(transaction.txId);
    }
    if (place.lsnHigh < 0x100000) out.long(place.lsnHigh * 0x100000000 + place.lsnLow);
    else out.bigLong((BigInt(place.lsnHigh) << 32n) | BigInt(place.lsnLow));
    out.bigLong(transaction.commitLsn);
  }
}

function wireHead(id: number): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(id, 1);
  return head;
}

function asciiInteger(source: Buffer, start: number, end: number): number {
  let at = start;
  const negative = source[at] === 0x2d;
  if (negative) at++;
  let value = 0;
  for (; at < end; at++) value = value * 10 + (source[at]! - 0x30);
  return negative ? -value : value;
}
