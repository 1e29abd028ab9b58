import type pg from 'pg';
import type { Described } from '../comparison.ts';
import type { BothSides } from './both-sides.ts';
import type { ComparedTable, Side } from './compared-table.ts';
import { rowCounts } from './counted-parts.ts';
import { readByKeys } from './key-lookup.ts';
import { nothing } from './keyed-parts.ts';
import { hashContentQuery, hashRowsQuery } from './multiset-sql.ts';
import type { Key } from './range-sql.ts';
import type { RowCandidate } from './row-candidate.ts';
import { toldRow, toldSql } from './row-content.ts';
import { keysOf } from './row-lookup.ts';

type Cells = readonly (string | null)[];

/** What differs in a row; the documents that show it are not known yet. */
export interface DescribedRow {
  readonly candidate: string;
  readonly described: Described;
  /** The row on each side where it is there. */
  readonly rows: readonly Cells[];
}

/** Describes candidates of one table; those that are equal by now are left out. */
export async function describeRows(
  sides: BothSides,
  table: ComparedTable,
  candidates: readonly RowCandidate[],
): Promise<DescribedRow[]> {
  return table.key.length > 0 ? describeKeyed(sides, table, candidates) : describeCounted(sides, table, candidates);
}

async function describeKeyed(
  sides: BothSides,
  table: ComparedTable,
  candidates: readonly RowCandidate[],
): Promise<DescribedRow[]> {
  const keys = candidates.map(keysOf);
  const columns = table.columns.map(toldSql);
  const { source, replica } = await sides.read(table, {
    prepare: nothing,
    source: (client) => readByKeys(client, table, table.source, keys, columns),
    replica: (client) => readByKeys(client, table, table.replica, keys, columns),
  });
  return candidates.flatMap(({ key: candidate, keys }, place) => {
    const expected = source.get(place);
    const actual = replica.get(place);
    const difference = keyedDifference(table, expected, actual);
    if (difference === null) return [];
    const rows = [expected, actual].filter((cells) => cells !== undefined);
    return [{ candidate, described: describedRow(table, keys, difference), rows }];
  });
}

async function describeCounted(
  sides: BothSides,
  table: ComparedTable,
  candidates: readonly RowCandidate[],
): Promise<DescribedRow[]> {
  const hashes = candidates.map(({ hash }) => hash!);
  const columns = table.columns.map(toldSql);
  const read = (side: Side) => async (client: pg.ClientBase) => {
    const counts = await rowCounts(client, hashRowsQuery(table, side, hashes));
    const { rows } = await client.query<[string, ...(string | null)[]]>({
      ...hashContentQuery(table, side, hashes, columns),
      rowMode: 'array',
    });
    return { counts, contents: new Map(rows.map(([hash, ...cells]) => [hash, cells])) };
  };
  const { source, replica } = await sides.read(table, {
    prepare: nothing,
    source: read(table.source),
    replica: read(table.replica),
  });
  return candidates.flatMap(({ key: candidate, hash }) => {
    const expected = source.counts.get(hash!)?.count ?? '0';
    const actual = replica.counts.get(hash!)?.count ?? '0';
    const cells = source.contents.get(hash!) ?? replica.contents.get(hash!);
    if (expected === actual || cells === undefined) return [];
    const told = (count: string): string | null =>
      count === '0' ? null : `${count === '1' ? '' : `${count} times `}${toldRow(table.columns, cells)}`;
    const difference = { path: null, expected: told(expected), actual: told(actual) };
    return [{ candidate, described: describedRow(table, null, difference), rows: [cells] }];
  });
}

type Difference = Pick<Described, 'path' | 'expected' | 'actual'>;

/** The first column that differs, or the whole row where one side has none. */
function keyedDifference(
  table: ComparedTable,
  expected: Cells | undefined,
  actual: Cells | undefined,
): Difference | null {
  if (!expected && !actual) return null;
  if (!expected) return { path: null, expected: null, actual: toldRow(table.columns, actual!) };
  if (!actual) return { path: null, expected: toldRow(table.columns, expected), actual: null };
  const place = expected.findIndex((cell, i) => cell !== actual[i]);
  if (place < 0) return null;
  return { path: table.columns[place]!, expected: expected[place]!, actual: actual[place]! };
}

function describedRow(table: ComparedTable, keys: Key | null, difference: Difference): Described {
  return {
    kind: 'row',
    table: table.name,
    key: keys && Object.fromEntries(table.key.map(({ name }, i) => [name, keys[i]!])),
    documents: [],
    ...difference,
    wrong: 'replica',
    since: null,
  };
}
