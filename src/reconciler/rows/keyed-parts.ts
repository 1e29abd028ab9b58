import type pg from 'pg';
import type { BothSides } from './both-sides.ts';
import type { ComparedTable, Side } from './compared-table.ts';
import { NotComparable } from './not-comparable.ts';
import type { Part } from './part.ts';
import type { RangeSize } from './range-size.ts';
import { type Bounds, type Key, nthKeyQuery, rowsQuery, sumsQuery } from './range-sql.ts';
import { keyedCandidate, type RowCandidate, type SideRow } from './row-candidate.ts';

/** A range in which one side has so many times the rows that it should hold is cut by that side's keys. */
const OVERFLOW = 2;
/** How often a range may be begun again before the table counts as one that changes too fast. */
const ATTEMPTS = 20;

interface Sums {
  readonly count: number;
  /** Both sums; compared as one text. */
  readonly sums: string;
}

/**
 * Compares a table with a key, range by range from the key `after` on. A range ends at SIIRAyS's n-th key, the last one
 * nowhere, so that rows which only the replica has are seen wherever they lie; where there are many of those, at the
 * replica's n-th key.
 * @throws NotComparable where rows keep coming faster than a range can be cut
 */
export async function* keyedParts(
  sides: BothSides,
  table: ComparedTable,
  from: Key | null,
  size: RangeSize,
  signal: AbortSignal,
): AsyncGenerator<Part> {
  let after = from;
  let cut: Key | null = null;
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    if (attempt > ATTEMPTS) {
      throw new NotComparable(
        table.name,
        `${table.name} grows faster than it can be read: compare it when it is quieter`,
      );
    }
    const rows = size.rows;
    const limit = OVERFLOW * rows + 1;
    const range = (end: Key | null): Bounds => ({ after, end });
    const {
      prepared: end,
      source,
      replica,
      ms,
    } = await sides.read(table, {
      prepare: async (client) => cut ?? nthKey(client, table, table.source, after, rows),
      source: (client, end) => sums(client, table, table.source, range(end), limit),
      replica: (client, end) => sums(client, table, table.replica, range(end), limit),
    });
    if (source.count === limit || replica.count === limit) {
      cut = await keyOfFuller(sides, table, after, rows, source.count > replica.count);
      continue;
    }
    size.learn(source.count, ms);
    const equal = source.count === replica.count && source.sums === replica.sums;
    const candidates = equal ? [] : await narrow(sides, table, range(end), limit);
    cut = null;
    // Many rows have come in the meantime: the range is begun again, and cut.
    if (candidates === null) continue;
    yield { candidates, compared: Math.max(source.count, replica.count), after: end, last: end === null };
    if (end === null) return;
    after = end;
    attempt = 0;
  }
}

/** The rows of a range that differ; null where one side has more than fit. */
async function narrow(
  sides: BothSides,
  table: ComparedTable,
  bounds: Bounds,
  limit: number,
): Promise<RowCandidate[] | null> {
  const { source, replica } = await sides.read(table, {
    prepare: nothing,
    source: (client) => sideRows(client, table, table.source, bounds, limit),
    replica: (client) => sideRows(client, table, table.replica, bounds, limit),
  });
  if (source.size === limit || replica.size === limit) return null;
  const candidates: RowCandidate[] = [];
  for (const [id, row] of source) {
    const candidate = keyedCandidate(table, row.key, row, replica.get(id));
    if (candidate) candidates.push(candidate);
    replica.delete(id);
  }
  for (const row of replica.values()) candidates.push(keyedCandidate(table, row.key, undefined, row)!);
  return candidates;
}

async function sums(
  client: pg.ClientBase,
  table: ComparedTable,
  side: Side,
  bounds: Bounds,
  limit: number,
): Promise<Sums> {
  const { rows } = await client.query<[string, string | null, string | null]>({
    ...sumsQuery(table, side, bounds, limit),
    rowMode: 'array',
  });
  const [count, first, second] = rows[0]!;
  return { count: Number(count), sums: `${first} ${second}` };
}

async function nthKey(
  client: pg.ClientBase,
  table: ComparedTable,
  side: Side,
  after: Key | null,
  n: number,
): Promise<Key | null> {
  const { rows } = await client.query<string[]>({ ...nthKeyQuery(table, side, after, n), rowMode: 'array' });
  return rows[0] ?? null;
}

async function keyOfFuller(
  sides: BothSides,
  table: ComparedTable,
  after: Key | null,
  n: number,
  ofSource: boolean,
): Promise<Key | null> {
  const { source, replica } = await sides.read(table, {
    prepare: nothing,
    source: async (client) => (ofSource ? nthKey(client, table, table.source, after, n) : null),
    replica: async (client) => (ofSource ? null : nthKey(client, table, table.replica, after, n)),
  });
  return source ?? replica;
}

async function sideRows(
  client: pg.ClientBase,
  table: ComparedTable,
  side: Side,
  bounds: Bounds,
  limit: number,
): Promise<Map<string, SideRow & { key: Key }>> {
  const { rows } = await client.query<string[]>({ ...rowsQuery(table, side, bounds, limit), rowMode: 'array' });
  const width = table.key.length;
  return new Map(
    rows.map((row) => {
      const key = row.slice(0, width);
      return [JSON.stringify(key), { key, hash: row[width]!, version: row[width + 1]! }];
    }),
  );
}

export async function nothing(): Promise<null> {
  return null;
}
