import { createHash } from 'node:crypto';
import type { Rows } from '../../test/connector/reference-projection.ts';
import type { Change, Row } from './test-decoding.ts';

/** A table of SIIRAyS: its name, and the columns of its primary key (none: the whole row is its identity). */
export interface TableShape {
  name: string;
  columns: string[];
  key: string[];
}

interface Held {
  row: Row;
  count: number;
}

const MODULUS = 1n << 128n;

/** One row as a number; a table's sum of them does not depend on the order, and counts what is there twice. */
export function rowHash(row: Row): bigint {
  const text = JSON.stringify(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)));
  return BigInt(`0x${createHash('sha256').update(text).digest('hex').slice(0, 32)}`);
}

/** The order-free sum of rows, as hexadecimal text. */
export function sumOf(rows: Iterable<Row>): string {
  let sum = 0n;
  for (const row of rows) sum = (sum + rowHash(row)) % MODULUS;
  return sum.toString(16);
}

/** SIIRAyS's tables as of one commit, moved on commit by commit by what the witness saw. */
export class Mirror {
  readonly #tables: Map<string, MirrorTable>;

  constructor(shapes: readonly TableShape[], rows: Rows) {
    this.#tables = new Map(shapes.map((shape) => [shape.name, new MirrorTable(shape, rows[shape.name] ?? [])]));
  }

  /** @throws where the change does not fit: the witness and SIIRAyS would disagree */
  apply(change: Change): void {
    if (change.op === 'truncate') {
      for (const name of change.tables) this.#table(name).clear();
      return;
    }
    const table = this.#table(change.table);
    if (change.op === 'insert') table.add(change.row);
    else if (change.op === 'delete') table.take(change.before);
    else {
      const old = table.take(change.before ?? change.row);
      for (const name of change.kept) change.row[name] = old[name] ?? null;
      table.add({ ...change.row });
    }
  }

  /** Every row, once for each time that it is there. */
  rows(): Rows {
    return Object.fromEntries([...this.#tables].map(([name, table]) => [name, table.rows()]));
  }

  /** Per table the order-free sum of its rows. */
  sums(): Record<string, string> {
    return Object.fromEntries([...this.#tables].map(([name, table]) => [name, table.sum.toString(16)]));
  }

  #table(name: string): MirrorTable {
    const table = this.#tables.get(name);
    if (!table) throw new Error(`the witness saw a change of ${name}, which was not there when the storm began`);
    return table;
  }
}

class MirrorTable {
  sum = 0n;
  readonly #shape: TableShape;
  readonly #held = new Map<string, Held>();

  constructor(shape: TableShape, rows: readonly Row[]) {
    this.#shape = shape;
    for (const row of rows) this.add(row);
  }

  clear(): void {
    this.#held.clear();
    this.sum = 0n;
  }

  add(row: Row): void {
    const key = this.#keyOf(row);
    const held = this.#held.get(key);
    if (held && this.#shape.key.length > 0) throw new Error(`${this.#shape.name} would hold a key twice`);
    if (held) held.count++;
    else this.#held.set(key, { row, count: 1 });
    this.sum = (this.sum + rowHash(row)) % MODULUS;
  }

  take(identity: Row): Row {
    const key = this.#keyOf(identity);
    const held = this.#held.get(key);
    if (!held) throw new Error(`${this.#shape.name} lacks a row that a commit changed`);
    if (--held.count === 0) this.#held.delete(key);
    this.sum = (this.sum - rowHash(held.row) + MODULUS) % MODULUS;
    return held.row;
  }

  rows(): Row[] {
    const all: Row[] = [];
    for (const { row, count } of this.#held.values()) for (let i = 0; i < count; i++) all.push(row);
    return all;
  }

  /** Old tuples leave out columns that are null. */
  #keyOf(row: Row): string {
    const { key, columns } = this.#shape;
    return JSON.stringify((key.length > 0 ? key : columns).map((column) => row[column] ?? null));
  }
}
