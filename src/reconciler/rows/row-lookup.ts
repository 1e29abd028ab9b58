import type { BothSides } from './both-sides.ts';
import type { ComparedTable } from './compared-table.ts';
import { rowCounts } from './counted-parts.ts';
import { readByKeys } from './key-lookup.ts';
import { nothing } from './keyed-parts.ts';
import { hashRowsQuery } from './multiset-sql.ts';
import type { Key } from './range-sql.ts';
import { countedCandidate, keyedCandidate, type RowCandidate } from './row-candidate.ts';
import { shortHashSql } from './row-text.ts';

/** Those of some candidates of one table that still differ, as they are now. */
export async function lookAgain(
  sides: BothSides,
  table: ComparedTable,
  candidates: readonly RowCandidate[],
): Promise<RowCandidate[]> {
  return table.key.length > 0 ? lookByKeys(sides, table, candidates) : lookByHashes(sides, table, candidates);
}

/** Whether the candidate was found by the key that the table has now: looked up by another one, it would not be there. */
export function fits({ key }: ComparedTable, { keyed }: RowCandidate): boolean {
  return keyed.length === key.length && keyed.every(({ name }, place) => name === key[place]!.name);
}

async function lookByKeys(
  sides: BothSides,
  table: ComparedTable,
  candidates: readonly RowCandidate[],
): Promise<RowCandidate[]> {
  const keys = candidates.map(keysOf);
  const row = (cells: (string | null)[] | undefined) => cells && { hash: cells[0]!, version: cells[1]! };
  const { source, replica } = await sides.read(table, {
    prepare: nothing,
    source: (client) =>
      readByKeys(client, table, table.source, keys, [shortHashSql(table.columns), table.source.version]),
    replica: (client) =>
      readByKeys(client, table, table.replica, keys, [shortHashSql(table.columns), table.replica.version]),
  });
  return keys.flatMap(
    (key, place) => keyedCandidate(table, key, row(source.get(place)), row(replica.get(place))) ?? [],
  );
}

async function lookByHashes(
  sides: BothSides,
  table: ComparedTable,
  candidates: readonly RowCandidate[],
): Promise<RowCandidate[]> {
  const hashes = candidates.map(({ hash }) => hash!);
  const { source, replica } = await sides.read(table, {
    prepare: nothing,
    source: (client) => rowCounts(client, hashRowsQuery(table, table.source, hashes)),
    replica: (client) => rowCounts(client, hashRowsQuery(table, table.replica, hashes)),
  });
  return hashes.flatMap((hash) => countedCandidate(table, hash, source.get(hash), replica.get(hash)) ?? []);
}

export function keysOf({ keys }: RowCandidate): Key {
  return keys!;
}
