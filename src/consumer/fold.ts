import { hash } from 'node:crypto';
import { type ChangeEvent, type TableShape, UNCHANGED, type Value } from '../kafka/change-event.ts';
import { ShapeChanged } from './shape-difference.ts';

/** Text of a row or key; PostgreSQL's text never holds NUL, so that it can part the columns. */
const SEPARATOR = '\u0000';
/** Counted beside a row's bytes where its old values have to be read from the database into memory. */
const MOVED_ROW_BYTES = 64 * 1024;
/** Roughly what a folded row costs beside its text. */
const ROW_BYTES = 200;

/** A row to be written, as the last event left it. */
export interface FoldedRow {
  key: string[];
  /** UNCHANGED where the value is the one that the row `source` has in the database. */
  row: Value[];
  /** The key under which the database holds the values of placeholders; null where it holds none (or none are left). */
  source: string[] | null;
}

/** What a run of events does to a table with a key: first empty it, then delete, then write. Keys occur once. */
export interface KeyedChange {
  kind: 'keyed';
  shape: TableShape;
  truncated: boolean;
  deletes: string[][];
  upserts: FoldedRow[];
}

/** What a run of events does to a table without a key: first empty it, then add `count` (may be negative) per row. */
export interface CountedChange {
  kind: 'counted';
  shape: TableShape;
  truncated: boolean;
  rows: { hash: string; row: (string | null)[]; count: number }[];
}

export type TableChange = KeyedChange | CountedChange;

/** Folds the events of one table, in order, into one set-based change: the last state of each row wins. */
export interface TableFold {
  /** @throws ShapeChanged where the event's shape is another than the fold's */
  add(event: ChangeEvent): void;
  /** Roughly the memory that the change takes. */
  readonly bytes: number;
  change(): TableChange;
}

export function createFold(shape: TableShape): TableFold {
  return shape.key.length > 0 ? new KeyedFold(shape) : new CountedFold(shape);
}

/** A row's last state; row null: deleted. */
interface State {
  key: string[];
  row: Value[] | null;
  source: string[] | null;
}

class KeyedFold implements TableFold {
  readonly #shape: TableShape;
  #rows = new Map<string, State>();
  #truncated = false;
  bytes = 0;

  constructor(shape: TableShape) {
    this.#shape = shape;
  }

  add(event: ChangeEvent): void {
    checkShape(this.#shape, event);
    this.bytes += event.bytes + ROW_BYTES;
    switch (event.op) {
      case 't':
        this.#rows.clear();
        this.#truncated = true;
        return;
      case 'd':
        this.#delete(this.#keyOf(event.before!));
        return;
      case 'u':
        this.#update(event.before, event.after!);
        return;
      default:
        this.#write(this.#keyOf(event.after!), event.after!, null);
    }
  }

  #keyOf(row: readonly Value[]): string[] {
    return this.#shape.key.map((place) => {
      const value = row[place];
      if (typeof value !== 'string') throw new RangeError(`${this.#shape.table}: a key column without a value`);
      return value;
    });
  }

  #delete(key: string[]): void {
    this.#rows.set(key.join(SEPARATOR), { key, row: null, source: null });
  }

  #write(key: string[], row: Value[], source: string[] | null): void {
    this.#rows.set(key.join(SEPARATOR), { key, row, source });
  }

  /**
   * An update keeps the values of columns that it did not send. They stand in the old row: in `before` where the whole
   * row was sent (REPLICA IDENTITY FULL), in the state folded so far, or in the database, under the key that the row had
   * when the fold began.
   */
  #update(before: Value[] | null, after: Value[]): void {
    const oldKey = this.#keyOf(before ?? after);
    const old = this.#rows.get(oldKey.join(SEPARATOR));
    const row = after.includes(UNCHANGED) ? filledFrom(filledFrom(after, before), old?.row ?? null) : after;
    const newKey = this.#keyOf(row);
    const moved = before !== null && newKey.some((value, i) => value !== oldKey[i]);
    let source: string[] | null = null;
    if (row.includes(UNCHANGED)) {
      source = old ? old.source : this.#truncated ? null : oldKey;
      if (moved) this.bytes += MOVED_ROW_BYTES;
    }
    if (moved) this.#delete(oldKey);
    this.#write(newKey, row, source);
  }

  change(): KeyedChange {
    const deletes: string[][] = [];
    const upserts: FoldedRow[] = [];
    for (const { key, row, source } of this.#rows.values()) {
      if (row === null) deletes.push(key);
      else upserts.push({ key, row, source });
    }
    return { kind: 'keyed', shape: this.#shape, truncated: this.#truncated, deletes, upserts };
  }
}

class CountedFold implements TableFold {
  readonly #shape: TableShape;
  #rows = new Map<string, { row: (string | null)[]; count: number }>();
  #truncated = false;
  bytes = 0;

  constructor(shape: TableShape) {
    this.#shape = shape;
  }

  add(event: ChangeEvent): void {
    checkShape(this.#shape, event);
    this.bytes += event.bytes + ROW_BYTES;
    if (event.op === 't') {
      this.#rows.clear();
      this.#truncated = true;
      return;
    }
    if (event.before) this.#count(complete(this.#shape, event.before), -1);
    if (event.after) this.#count(complete(this.#shape, filledFrom(event.after, event.before)), 1);
  }

  #count(row: (string | null)[], by: number): void {
    const text = rowText(row);
    const known = this.#rows.get(text);
    if (known) known.count += by;
    else this.#rows.set(text, { row, count: by });
  }

  change(): CountedChange {
    const rows: CountedChange['rows'] = [];
    for (const [text, { row, count }] of this.#rows) {
      if (count !== 0) rows.push({ hash: hash('sha256', text, 'hex'), row, count });
    }
    return { kind: 'counted', shape: this.#shape, truncated: this.#truncated, rows };
  }
}

/** NULL and '' differ; equal texts are equal rows, since PostgreSQL's text of a value under pinned settings is one. */
function rowText(row: readonly (string | null)[]): string {
  return row.map((value) => (value === null ? '-' : `+${value}`)).join(SEPARATOR);
}

/** Puts the values of `old` in place of placeholders. A NULL there is not believed: an unchanged TOASTed value is none. */
function filledFrom(row: Value[], old: readonly Value[] | null): Value[] {
  if (old === null) return row;
  return row.map((value, place) => (value === UNCHANGED ? (old[place] ?? UNCHANGED) : value));
}

function complete(shape: TableShape, row: readonly Value[]): (string | null)[] {
  if (row.includes(UNCHANGED)) throw new RangeError(`${shape.table}: a row without a key came with a placeholder`);
  return row as (string | null)[];
}

function checkShape(shape: TableShape, event: ChangeEvent): void {
  if (event.shape !== shape && event.shape.fingerprint !== shape.fingerprint)
    throw new ShapeChanged(shape, event.shape);
}
