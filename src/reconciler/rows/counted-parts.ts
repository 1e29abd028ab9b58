import type pg from 'pg';
import type { BothSides } from './both-sides.ts';
import type { ComparedTable, Side } from './compared-table.ts';
import { bucketRowsQuery, bucketsQuery } from './multiset-sql.ts';
import type { Part } from './part.ts';
import type { Query } from './range-sql.ts';
import { countedCandidate, type RowCandidate, type RowCount } from './row-candidate.ts';

interface Bucket {
  readonly count: number;
  readonly sums: string;
}

/**
 * Compares a table without a key as a multiset: first whole, in buckets by the rows' hashes, then the rows of the buckets
 * that differ, so many buckets at a time that their rows fit in memory.
 * @param room rows that may be held of each side
 */
export async function* countedParts(
  sides: BothSides,
  table: ComparedTable,
  room: number,
  signal: AbortSignal,
): AsyncGenerator<Part> {
  signal.throwIfAborted();
  const { source, replica } = await sides.read(table, {
    prepare: async () => null,
    source: (client) => buckets(client, table, table.source),
    replica: (client) => buckets(client, table, table.replica),
  });
  const groups = grouped(differing(source, replica), room);
  const compared = Math.max(total(source), total(replica));
  yield { candidates: [], compared, after: null, last: groups.length === 0 };
  for (const [place, names] of groups.entries()) {
    signal.throwIfAborted();
    const candidates = await narrow(sides, table, names);
    yield { candidates, compared: 0, after: null, last: place === groups.length - 1 };
  }
}

/** Hash, count and version as a query of multiset-sql.ts gives them. */
export async function rowCounts(client: pg.ClientBase, query: Query): Promise<Map<string, RowCount>> {
  const { rows } = await client.query<[string, string, string]>({ ...query, rowMode: 'array' });
  return new Map(rows.map(([hash, count, version]) => [hash, { count, version }]));
}

async function narrow(sides: BothSides, table: ComparedTable, names: readonly string[]): Promise<RowCandidate[]> {
  const { source, replica } = await sides.read(table, {
    prepare: async () => null,
    source: (client) => rowCounts(client, bucketRowsQuery(table, table.source, names)),
    replica: (client) => rowCounts(client, bucketRowsQuery(table, table.replica, names)),
  });
  const candidates: RowCandidate[] = [];
  for (const hash of new Set([...source.keys(), ...replica.keys()])) {
    const candidate = countedCandidate(table, hash, source.get(hash), replica.get(hash));
    if (candidate) candidates.push(candidate);
  }
  return candidates;
}

async function buckets(client: pg.ClientBase, table: ComparedTable, side: Side): Promise<Map<string, Bucket>> {
  const { rows } = await client.query<[string, string, string, string]>({
    ...bucketsQuery(table, side),
    rowMode: 'array',
  });
  return new Map(rows.map(([name, count, ...sums]) => [name, { count: Number(count), sums: sums.join(' ') }]));
}

/** Names of the buckets that differ, each with the larger count. */
function differing(source: ReadonlyMap<string, Bucket>, replica: ReadonlyMap<string, Bucket>): [string, number][] {
  const names = new Set([...source.keys(), ...replica.keys()]);
  return [...names].sort().flatMap((name): [string, number][] => {
    const one = source.get(name);
    const other = replica.get(name);
    if (one?.count === other?.count && one?.sums === other?.sums) return [];
    return [[name, Math.max(one?.count ?? 0, other?.count ?? 0)]];
  });
}

/** At least one bucket a group. */
function grouped(differing: readonly [string, number][], room: number): string[][] {
  const groups: string[][] = [];
  let rows = Number.POSITIVE_INFINITY;
  for (const [name, count] of differing) {
    if (rows + count > room) {
      groups.push([]);
      rows = 0;
    }
    groups.at(-1)!.push(name);
    rows += count;
  }
  return groups;
}

function total(side: ReadonlyMap<string, Bucket>): number {
  let count = 0;
  for (const bucket of side.values()) count += bucket.count;
  return count;
}
