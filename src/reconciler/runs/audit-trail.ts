import type pg from 'pg';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { decodePageToken, encodePageToken } from './page-token.ts';
import { milliseconds, storable, storableJson } from './run-sql.ts';

/** What somebody did. */
export interface AuditEntry {
  readonly id: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly actor: string;
  readonly role: string;
  readonly action: string;
  /** What it was done to: a run, a document, a connector. */
  readonly object: string | null;
  readonly detail: Readonly<Record<string, unknown>>;
}

/** What people did, newest first. */
export class AuditTrail {
  readonly #pool: pg.Pool;
  readonly #table: string;

  constructor(pool: pg.Pool, schema: string) {
    this.#pool = pool;
    this.#table = `${quoteIdentifier(schema)}.audit`;
  }

  /** @param client where the entry is part of an open transaction */
  async add(
    actor: string,
    role: string,
    action: string,
    object: string | null,
    detail: Readonly<Record<string, unknown>>,
    client: pg.ClientBase | pg.Pool = this.#pool,
  ): Promise<void> {
    await client.query(`INSERT INTO ${this.#table} (actor, role, action, object, detail) VALUES ($1, $2, $3, $4, $5)`, [
      storable(actor),
      role,
      action,
      object === null ? null : storable(object),
      storableJson(detail),
    ]);
  }

  /** @throws InvalidPageToken */
  async list({ before, limit }: { before?: string; limit: number }): Promise<{
    entries: AuditEntry[];
    next: string | null;
  }> {
    const below = before === undefined ? null : decodePageToken(before, [/^\d{1,18}$/])[0];
    const { rows } = await this.#pool.query<{ entry: string }>(
      `SELECT json_build_object('id', id, 'at', ${milliseconds('at')}, 'actor', actor, 'role', role, 'action', action,
         'object', object, 'detail', detail)::text AS entry
       FROM ${this.#table} WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2`,
      [below, limit + 1],
    );
    const entries = rows.slice(0, limit).map(({ entry }) => JSON.parse(entry) as AuditEntry);
    const last = rows.length > limit ? entries.at(-1) : undefined;
    return { entries, next: last ? encodePageToken([String(last.id)]) : null };
  }
}
