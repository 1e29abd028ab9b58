import type pg from 'pg';
import { replayDeadLetter } from '../../consumer/delivery/replay.ts';
import { connectorSchemas } from '../../consumer/replica-names.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { isoSql } from './connector-status.ts';

/** Letters replayed in one statement. */
const PORTION = 1_000;

/** schema: a required field is missing, so it was never sent; refused: FASTAAPS answered 422. */
export type DeadLetterReason = 'schema' | 'refused';

/** A document that was refused, and why; never its content. Times are ISO 8601. */
export interface DeadLetter {
  id: string;
  epoch: number;
  /** Decimal. */
  version: string;
  reason: DeadLetterReason;
  /** The first field concerned. */
  path: string | null;
  /** What the service said. */
  detail: unknown;
  createdAt: string;
  /** When and by whom it was set aside. */
  discardedAt: string | null;
  discardedBy: string | null;
  /** Whether a new version is being made. */
  replaying: boolean;
}

/** SQL of a dead letter `l` as JSON. @param s the quoted bookkeeping schema */
export function letterSql(s: string): string {
  return `jsonb_build_object('id', l.id, 'epoch', l.epoch, 'version', l.version::text, 'reason', l.reason, 'path', l.path,
    'detail', l.detail, 'createdAt', ${isoSql('l.created_at')}, 'discardedAt', ${isoSql('l.discarded_at')},
    'discardedBy', l.discarded_by, 'replaying', EXISTS (SELECT FROM ${s}.mark AS m WHERE m.id = l.id AND m.forced))`;
}

/** Which dead letters are meant; what is left out does not matter. */
export interface DeadLetterFilter {
  /** Only those set aside, or only the others. */
  discarded?: boolean;
  reason?: DeadLetterReason;
  /** Not older than this: ISO 8601. */
  since?: string;
  ids?: readonly string[];
}

export interface DeadLetterPage extends DeadLetterFilter {
  /** Behind this id. */
  after?: string;
  limit: number;
}

/** The dead letters of a connector by id. */
export async function listDeadLetters(
  pool: pg.Pool | pg.ClientBase,
  connector: string,
  { discarded, reason, since, ids, after, limit }: DeadLetterPage,
): Promise<{ deadLetters: DeadLetter[]; next: string | null }> {
  const s = syncSchema(connector);
  const { rows } = await pool.query<{ letter: DeadLetter }>(
    `SELECT ${letterSql(s)} AS letter FROM ${s}.dead_letter AS l
     WHERE ($1::text IS NULL OR l.id > $1) AND ($2::boolean IS NULL OR (l.discarded_at IS NOT NULL) = $2)
       AND ($3::text IS NULL OR l.reason = $3) AND ($4::timestamptz IS NULL OR l.created_at >= $4)
       AND ($5::text[] IS NULL OR l.id = ANY ($5))
     ORDER BY l.id LIMIT $6`,
    [after ?? null, discarded ?? null, reason ?? null, since ?? null, ids ?? null, limit + 1],
  );
  const deadLetters = rows.slice(0, limit).map(({ letter }) => letter);
  return { deadLetters, next: rows.length > limit ? deadLetters.at(-1)!.id : null };
}

/** One dead letter; null where there is none. */
export async function readDeadLetter(
  pool: pg.Pool | pg.ClientBase,
  connector: string,
  id: string,
): Promise<DeadLetter | null> {
  const { deadLetters } = await listDeadLetters(pool, connector, { ids: [id], limit: 1 });
  return deadLetters[0] ?? null;
}

/** Has a new version of one refused document made; false where it is none. */
export async function replayOne(client: pg.ClientBase, connector: string, id: string): Promise<boolean> {
  return (await replayDeadLetter(client, connectorSchemas(connector).sync, [id])).length > 0;
}

/** How many dead letters are not set aside. */
export async function countOpen(pool: pg.Pool, connector: string): Promise<number> {
  const { rows } = await pool.query<{ count: string }>(
    `SELECT count(*) FROM ${syncSchema(connector)}.dead_letter WHERE discarded_at IS NULL`,
  );
  return Number(rows[0]!.count);
}

/** The same for all that a filter leaves, portion by portion; those set aside only where it asks for them. @returns how many */
export async function replayAll(pool: pg.Pool, connector: string, filter: DeadLetterFilter = {}): Promise<number> {
  let after: string | undefined;
  let replayed = 0;
  do {
    const page: DeadLetterPage = { discarded: false, ...filter, after, limit: PORTION };
    const { deadLetters, next } = await listDeadLetters(pool, connector, page);
    const ids = deadLetters.map(({ id }) => id);
    replayed += (await replayDeadLetter(pool, connectorSchemas(connector).sync, ids)).length;
    after = next ?? undefined;
  } while (after !== undefined);
  return replayed;
}

/**
 * Sets a dead letter aside: known, and accepted as it is.
 * @returns the letter and whether it was not set aside before; null where there is none
 */
export async function discardDeadLetter(
  client: pg.ClientBase,
  connector: string,
  id: string,
  by: string,
): Promise<{ deadLetter: DeadLetter; changed: boolean } | null> {
  const s = syncSchema(connector);
  const { rowCount } = await client.query(
    `UPDATE ${s}.dead_letter SET discarded_at = now(), discarded_by = $2 WHERE id = $1 AND discarded_at IS NULL`,
    [id, by],
  );
  const deadLetter = await readDeadLetter(client, connector, id);
  return deadLetter === null ? null : { deadLetter, changed: rowCount === 1 };
}

function syncSchema(connector: string): string {
  return quoteIdentifier(connectorSchemas(connector).sync);
}
