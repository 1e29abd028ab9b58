import type { KafkaMessage } from 'kafkajs';

/** Stands in place of a TOASTed value that an UPDATE did not touch, so that PostgreSQL did not send it. */
export const UNCHANGED: unique symbol = Symbol('unchanged');

/** PostgreSQL's own text of a value under the pinned settings, NULL, or UNCHANGED. */
export type Value = string | null | typeof UNCHANGED;

export interface ColumnShape {
  /** The column's name in SIIRAyS. */
  name: string;
  /** Its type as CREATE TABLE takes it, from format_type(): `numeric(12,2)`, `character varying(60)`. */
  type: string;
}

/** What a table looked like when an event was written. */
export interface TableShape {
  schema: string;
  table: string;
  columns: ColumnShape[];
  /** Places in `columns` of the row's identity; empty where the table has none and the whole row identifies it. */
  key: number[];
  /** Differs whenever anything above differs, and after rows may have changed without events. */
  fingerprint: string;
}

/** c insert, u update, d delete, r read (from a snapshot, overwrites unconditionally), t truncate. */
export type Op = 'c' | 'u' | 'd' | 'r' | 't';

export interface ChangeEvent {
  op: Op;
  transactionId: string;
  /** Place in the transaction over all tables, from 1. */
  totalOrder: number;
  /**
   * The old row, in the order of `shape.columns`. For d always; for u where the key changed (key columns only, the others
   * NULL) or where the table has REPLICA IDENTITY FULL (the whole row); NULL for c, r and t.
   */
  before: Value[] | null;
  /** The new row; NULL for d and t. */
  after: Value[] | null;
  shape: TableShape;
  offset: string;
  /** Size of the message on the wire, for limits. */
  bytes: number;
}

export interface EventDecoder {
  /** Decodes a table topic's message; a promise only where its schema is not known yet. */
  decode(topic: string, message: KafkaMessage): ChangeEvent | Promise<ChangeEvent>;
}
