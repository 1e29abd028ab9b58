import type pg from 'pg';
import { connectorSchemas } from '../consumer/replica-names.ts';
import { quoteIdentifier } from '../postgres/identifier.ts';

/**
 * When FASTAAPS took each connector's first load. The very first one counts, whatever histories come after it: it is written
 * once in the life of a `sync`, and so asked for no more once it is known.
 */
export class FirstLoads {
  readonly #pool: pg.Pool;
  readonly #known = new Map<string, number>();

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /** The latest of these connectors' first loads, in milliseconds since 1970; null while one is missing. */
  async latest(connectors: readonly string[]): Promise<number | null> {
    let latest: number | null = null;
    for (const name of connectors) {
      const at = this.#known.get(name) ?? (await this.#read(name));
      if (at === null) return null;
      this.#known.set(name, at);
      latest = Math.max(latest ?? 0, at);
    }
    return latest;
  }

  async #read(connector: string): Promise<number | null> {
    const table = `${quoteIdentifier(connectorSchemas(connector).sync)}.delivery`;
    const there = await this.#pool.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [table]);
    if (!there.rows[0]!.there) return null;
    const { rows } = await this.#pool.query<{ at: number | null }>(
      `SELECT (extract(epoch FROM first_delivered_at) * 1000)::float8 AS at FROM ${table}`,
    );
    return rows[0]?.at ?? null;
  }
}
