import type pg from 'pg';
import { UNCHANGED } from '../kafka/change-event.ts';
import { TEXT_VALUES } from '../postgres/session.ts';
import { BrokenHistory } from './broken-history.ts';
import type { CountedChange, FoldedRow, KeyedChange, TableChange } from './fold.ts';
import type { IncompleteRows } from './incomplete.ts';
import type { Marking, MarkSql } from './marking.ts';
import { collectionName } from './replica-names.ts';
import type { ReplicaTable, ReplicaTables } from './replica-tables.ts';
import { type Statement, statement } from './statement.ts';
import { absentStatement, countedStatement, goneStatement, keyedStatement, readStatement } from './table-sql.ts';
import { columnArrays, textArray } from './text-array.ts';

/** Where changes go. */
export interface ApplyTarget {
  tables: ReplicaTables;
  incomplete: IncompleteRows;
  /** Null for the staging copy. */
  marking: Marking | null;
}

/**
 * Applies one step: the changes of some tables, each as few statements. Every root is marked whose documents hold a
 * touched row before or after: a table's old rows are looked up just before it changes (their way to the root leads over
 * rows that this step does not touch, or that were touched and so marked before), the new ones when all have changed.
 */
export async function applyStep(
  client: pg.ClientBase,
  target: ApplyTarget,
  changes: readonly TableChange[],
): Promise<void> {
  const after: Prepared[] = [];
  for (const change of changes) {
    const table = await target.tables.ensure(client, change.shape);
    const touched = change.kind === 'keyed' ? keyedMark(target, table, change) : countedMark(target, table, change);
    if (change.truncated) await empty(client, target, table);
    if (change.kind === 'keyed') await applyKeyed(client, target, table, change, touched);
    else await applyCounted(client, target, table, change, touched);
    if (touched) after.push({ statement: statement(touched.mark.sql), values: touched.values });
  }
  for (const mark of after) await run(client, mark);
}

interface Prepared {
  statement: Statement;
  values: Buffer[];
}

interface TouchedRows {
  mark: MarkSql;
  values: Buffer[];
}

function run(client: pg.ClientBase, { statement: { name, text }, values }: Prepared): Promise<pg.QueryResult> {
  return client.query({ name, text, values });
}

function keyedMark({ marking }: ApplyTarget, table: ReplicaTable, change: KeyedChange): TouchedRows | null {
  const mark = marking?.of(table, 'keys');
  if (!mark || change.deletes.length + change.upserts.length === 0) return null;
  const keys = [...change.deletes, ...change.upserts.map(({ key }) => key)];
  const order = mark.places.map((place) => table.shape.key.indexOf(place));
  return { mark, values: order.map((i) => textArray(keys.map((key) => key[i]!))) };
}

function countedMark({ marking }: ApplyTarget, table: ReplicaTable, change: CountedChange): TouchedRows | null {
  const mark = marking?.of(table, 'rows');
  if (!mark || change.rows.length === 0) return null;
  return { mark, values: mark.places.map((place) => textArray(change.rows.map(({ row }) => row[place]!))) };
}

/** DELETE, not TRUNCATE: a reader with an older snapshot still sees the rows (PostgreSQL manual, TRUNCATE, "Notes"). */
async function empty(client: pg.ClientBase, { marking, incomplete }: ApplyTarget, table: ReplicaTable): Promise<void> {
  const mark = marking?.of(table, 'all');
  if (mark) await client.query(mark.sql);
  await client.query(`DELETE FROM ${table.relation}`);
  await incomplete.clear(client, table.shape, null);
}

async function applyKeyed(
  client: pg.ClientBase,
  { incomplete }: ApplyTarget,
  table: ReplicaTable,
  change: KeyedChange,
  touched: TouchedRows | null,
): Promise<void> {
  const { shape } = table;
  const { whole, partial, lacking } = await withoutPlaceholders(client, table, change);
  let deletes = change.deletes.length > 0;
  const writes = whole.length > 0 ? shape.columns.map((_, place) => place) : null;
  let mark = touched?.mark ?? null;
  if (deletes && writes && table.looseKey) {
    // A deleted key may be a written one in another text, and one statement touches a row once only.
    await run(client, {
      statement: keyedStatement(table, { mark, deletes, writes: null }),
      values: [...(touched?.values ?? []), ...columnArrays(change.deletes, shape.key.length)],
    });
    mark = null;
    deletes = false;
  }
  if (mark || deletes || writes) {
    await run(client, {
      statement: keyedStatement(table, { mark, deletes, writes }),
      values: [
        ...(mark ? touched!.values : []),
        ...(deletes ? columnArrays(change.deletes, shape.key.length) : []),
        ...(writes
          ? columnArrays(
              whole.map(({ row }) => row),
              shape.columns.length,
            )
          : []),
      ],
    });
  }
  if (incomplete.has(shape)) {
    await incomplete.clear(client, shape, change.deletes);
    await incomplete.clear(
      client,
      shape,
      whole.map(({ key }) => key),
    );
  }
  for (const group of partial) await writePartial(client, incomplete, table, group);
  await incomplete.add(client, shape, lacking);
}

interface WholeRow {
  key: string[];
  row: (string | null)[];
}

/** Rows that have the same placeholders. */
interface PartialGroup {
  /** Places of the columns that have values. */
  places: number[];
  rows: FoldedRow[];
}

/**
 * Parts rows by what is to be done about their placeholders. The values of a row that has moved to another key stand
 * under the old one: they are read here, before anything is changed; where they are missing there, or NULL, which an
 * unchanged TOASTed value never is, they are lacking. A row with placeholders that stays where it is keeps its values in
 * the database: only its other columns are written.
 */
async function withoutPlaceholders(client: pg.ClientBase, table: ReplicaTable, { upserts, deletes }: KeyedChange) {
  // Where a deleted key may be the same in another text, no row is certain to stay where it is.
  const stays = !(table.looseKey && deletes.length > 0);
  const whole: WholeRow[] = [];
  const groups = new Map<string, PartialGroup>();
  const moved: FoldedRow[] = [];
  const lacking: string[][] = [];
  for (const folded of upserts) {
    const { key, row, source } = folded;
    if (!row.includes(UNCHANGED)) {
      whole.push(folded as WholeRow);
    } else if (source === null) {
      lacking.push(key);
      whole.push({ key, row: row.map((cell) => (cell === UNCHANGED ? null : cell)) });
    } else if (!stays || source.some((part, i) => part !== key[i])) {
      moved.push(folded);
    } else {
      const places = row.flatMap((cell, place) => (cell === UNCHANGED ? [] : [place]));
      const group = groups.get(places.join()) ?? { places, rows: [] };
      group.rows.push(folded);
      groups.set(places.join(), group);
    }
  }
  if (moved.length > 0) {
    const found = await readMoved(client, table, moved);
    whole.push(...found.rows);
    lacking.push(...found.lacking);
  }
  return { whole, partial: [...groups.values()], lacking };
}

async function readMoved(client: pg.ClientBase, table: ReplicaTable, moved: readonly FoldedRow[]) {
  const places = table.shape.columns.flatMap((_, place) =>
    moved.some(({ row }) => row[place] === UNCHANGED) ? [place] : [],
  );
  const sources = moved.map(({ source }) => source!);
  const { name, text } = readStatement(table, places);
  const { rows } = await client.query<(string | null)[]>({
    name,
    text,
    values: columnArrays(sources, table.shape.key.length),
    rowMode: 'array',
    types: TEXT_VALUES,
  });
  const values = new Map(rows.map(([n, ...found]) => [Number(n) - 1, found]));
  const lacking: string[][] = [];
  const filled = moved.map(({ key, row }, i) => {
    const found = row.map((cell, place) =>
      cell === UNCHANGED ? (values.get(i)?.[places.indexOf(place)] ?? null) : cell,
    );
    if (found.some((cell, place) => cell === null && row[place] === UNCHANGED)) lacking.push(key);
    return { key, row: found };
  });
  return { rows: filled, lacking };
}

async function writePartial(
  client: pg.ClientBase,
  incomplete: IncompleteRows,
  table: ReplicaTable,
  { places, rows }: PartialGroup,
): Promise<void> {
  const keys = rows.map(({ key }) => key);
  const absent = await run(client, {
    statement: absentStatement(table),
    values: columnArrays(keys, table.shape.key.length),
  });
  const cells = rows.map(({ row }) => places.map((place) => row[place] as string | null));
  await run(client, {
    statement: keyedStatement(table, { mark: null, deletes: false, writes: places }),
    values: columnArrays(cells, places.length),
  });
  await incomplete.add(
    client,
    table.shape,
    absent.rows.map(({ n }: { n: number }) => keys[n - 1]!),
  );
}

/**
 * In the staging copy counts may be negative for a while: the stream takes away rows that the snapshot has not brought.
 * The chunk that brings them empties the table first; `swapIn` sees that nothing negative is left.
 * @throws BrokenHistory where a row is taken away more often than it is there
 */
async function applyCounted(
  client: pg.ClientBase,
  { tables }: ApplyTarget,
  table: ReplicaTable,
  change: CountedChange,
  touched: TouchedRows | null,
): Promise<void> {
  if (change.rows.length === 0) return;
  const { rows } = await run(client, {
    statement: countedStatement(table, touched?.mark ?? null),
    values: [
      ...(touched?.values ?? []),
      textArray(change.rows.map(({ hash }) => hash)),
      textArray(change.rows.map(({ count }) => String(count))),
      ...columnArrays(
        change.rows.map(({ row }) => row),
        table.shape.columns.length,
      ),
    ],
  });
  const { negative, gone } = rows[0] as { negative: number; gone: number };
  if (negative > 0 && !tables.staging) {
    throw new BrokenHistory(
      `${collectionName(table.shape)}: ${negative} rows are deleted that the replica does not hold`,
    );
  }
  if (gone > 0) {
    const hashes = change.rows.filter(({ count }) => count < 0).map(({ hash }) => hash);
    await run(client, { statement: goneStatement(table), values: [textArray(hashes)] });
  }
}
