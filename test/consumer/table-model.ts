/** A table applied row by row, plainly, and random events that such a table can have. */
import fc from 'fast-check';
import type { CountedChange, KeyedChange } from '../../src/consumer/fold.ts';
import { type ChangeEvent, type TableShape, UNCHANGED, type Value } from '../../src/kafka/change-event.ts';
import { eventOf, shapeOf } from './change-events.ts';

export type Cells = (string | null)[];

/** A composite key, a text that may be TOASTed, a text that is not. */
export const keyed = shapeOf('keyed', { a: 'integer', b: 'text', long: 'text', note: 'character varying(20)' }, [
  'a',
  'b',
]);
export const keyless = shapeOf('keyless', { a: 'integer', b: 'text', long: 'text', note: 'text' }, []);

export class TableModel {
  readonly #shape: TableShape;
  #rows: Cells[] = [];

  constructor(shape: TableShape) {
    this.#shape = shape;
  }

  /** Sorted texts of all rows. */
  rows(): string[] {
    return this.#rows.map((row) => JSON.stringify(row)).sort();
  }

  apply(event: ChangeEvent): void {
    if (event.op === 't') this.#rows = [];
    const old = event.op === 'u' || event.op === 'd' ? this.#take(event.before ?? event.after!) : null;
    if (!event.after) return;
    const row = event.after.map((cell, i) =>
      cell === UNCHANGED ? (event.before?.[i] ?? old?.[i] ?? null) : cell,
    ) as Cells;
    if (event.op === 'r' && this.#shape.key.length > 0) this.#take(row);
    this.#rows.push(row);
  }

  #take(row: readonly Value[]): Cells | null {
    const at = this.#rows.findIndex((other) => this.#identity(other) === this.#identity(row));
    return at < 0 ? null : this.#rows.splice(at, 1)[0]!;
  }

  #identity(row: readonly Value[]): string {
    const places = this.#shape.key.length > 0 ? this.#shape.key : this.#shape.columns.map((_, place) => place);
    return JSON.stringify(places.map((place) => String(row[place]) + (row[place] === null)));
  }

  applyKeyed({ truncated, deletes, upserts }: KeyedChange): void {
    if (truncated) this.#rows = [];
    const before = [...this.#rows];
    const cellOf = (source: string[] | null, place: number): string | null =>
      before.find((row) => source?.every((part, i) => row[this.#shape.key[i]!] === part))?.[place] ?? null;
    for (const key of [...deletes, ...upserts.map((upsert) => upsert.key)]) this.#take(this.#rowOf(key));
    for (const { row, source } of upserts) {
      this.#rows.push(row.map((cell, place) => (cell === UNCHANGED ? cellOf(source, place) : cell)));
    }
  }

  #rowOf(key: string[]): Value[] {
    const row: Value[] = this.#shape.columns.map(() => null);
    for (const [i, place] of this.#shape.key.entries()) row[place] = key[i]!;
    return row;
  }

  applyCounted({ truncated, rows }: CountedChange): void {
    if (truncated) this.#rows = [];
    for (const { row, count } of rows) {
      for (let i = 0; i < count; i++) this.#rows.push(row);
      for (let i = 0; i > count; i--) this.#take(row);
    }
  }
}

/** What somebody does to the table. `at` picks rows among those that are there. */
interface Move {
  kind: 'insert' | 'update' | 'move' | 'delete' | 'read' | 'truncate';
  at: number;
  cells: Cells;
  /** Leave out the long text where it does not change, as PostgreSQL does with TOASTed ones. */
  leave: boolean;
}

const cells = fc.tuple(
  fc.integer({ min: 1, max: 4 }).map(String),
  fc.constantFrom('', 'x', 'Ñ\n"'),
  fc.constantFrom('', 'long {,}\\', 'l'.repeat(300)),
  fc.option(fc.constantFrom('', 'n', '0'), { nil: null }),
);
const weights = { insert: 6, update: 6, move: 4, delete: 3, read: 2, truncate: 1 } as const;
const moves: fc.Arbitrary<Move[]> = fc.array(
  fc.record({
    kind: fc.oneof(
      ...Object.entries(weights).map(([kind, weight]) => ({ weight, arbitrary: fc.constant(kind as Move['kind']) })),
    ),
    at: fc.nat({ max: 50 }),
    cells: cells.map((tuple): Cells => [...tuple]),
    leave: fc.boolean(),
  }),
  { maxLength: 40, size: 'max' },
);

/** Events that can follow each other in a real table which begins empty. */
export function randomEvents(shape: TableShape): fc.Arbitrary<ChangeEvent[]> {
  return moves.map((list) => {
    const rows: Cells[] = [];
    return list.flatMap((move) => eventsOf(shape, rows, move));
  });
}

function eventsOf(shape: TableShape, rows: Cells[], { kind, at, cells: row, leave }: Move): ChangeEvent[] {
  const hasKey = shape.key.length > 0;
  const sameKey = (a: Cells, b: Cells) => shape.key.every((place) => a[place] === b[place]);
  const place = rows.length === 0 ? -1 : at % rows.length;
  const old = rows[place];
  const taken = hasKey && rows.some((other) => sameKey(other, row));
  switch (kind) {
    case 'insert':
      if (taken) return [];
      rows.push(row);
      return [eventOf(shape, { op: 'c', after: row })];
    case 'read': {
      if (!hasKey) return [];
      const there = rows.findIndex((other) => sameKey(other, row));
      if (there >= 0) rows[there] = row;
      else rows.push(row);
      return [eventOf(shape, { op: 'r', after: row })];
    }
    case 'truncate':
      rows.length = 0;
      return [eventOf(shape, { op: 't' })];
    case 'delete':
      if (!old) return [];
      rows.splice(place, 1);
      return [eventOf(shape, { op: 'd', before: hasKey ? keyOnly(shape, old) : old })];
    default: {
      if (!old) return [];
      const next = kind === 'move' || !hasKey ? row : old.map((cell, i) => (shape.key.includes(i) ? cell : row[i]!));
      if (hasKey && rows.some((other) => other !== old && sameKey(other, next))) return [];
      if (leave) next[2] = old[2]!;
      rows[place] = next;
      const after: Value[] = next.map((cell, i) => (leave && i === 2 && cell !== null ? UNCHANGED : cell));
      const before = hasKey ? (sameKey(old, next) ? null : keyOnly(shape, old)) : old;
      return [eventOf(shape, { op: 'u', before, after })];
    }
  }
}

function keyOnly(shape: TableShape, row: Cells): Cells {
  return row.map((cell, place) => (shape.key.includes(place) ? cell : null));
}
