import type pg from 'pg';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { milliseconds } from './run-sql.ts';
import { withinTime } from './transaction.ts';

/** When the documents of a connector were proven equal. Times are milliseconds since 1970, null where there are none. */
export interface ProofAge {
  readonly oldest: number | null;
  readonly newest: number | null;
  readonly documents: number;
}

/** What cannot be forgotten in this time is forgotten after the next run. */
const FORGET_MS = 60_000;

/** When each document was last proven equal. */
export class Proofs {
  readonly #pool: pg.Pool;
  readonly #schema: string;

  constructor(pool: pg.Pool, schema: string) {
    this.#pool = pool;
    this.#schema = quoteIdentifier(schema);
  }

  /** These documents are equal now. */
  async proven(connector: string, ids: readonly string[], runId: string): Promise<void> {
    if (ids.length === 0) return;
    await this.#pool.query(
      `INSERT INTO ${this.#schema}.proof (connector, id, proven_at, run)
       SELECT $1, id, clock_timestamp(), $3 FROM (SELECT DISTINCT unnest($2::text[]) AS id) AS proven ORDER BY id
       ON CONFLICT (connector, id) DO UPDATE SET proven_at = excluded.proven_at, run = excluded.run`,
      [connector, ids, runId],
    );
  }

  /** These documents were met and not proven: what is known of them stays. */
  async met(connector: string, ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    await this.#pool.query(
      `UPDATE ${this.#schema}.proof SET met_at = clock_timestamp() WHERE connector = $1 AND id = ANY ($2::text[])`,
      [connector, ids],
    );
  }

  async age(connector: string): Promise<ProofAge> {
    const { rows } = await this.#pool.query<{ age: string }>(
      `SELECT json_build_object('oldest', ${milliseconds('min(proven_at)')}, 'newest', ${milliseconds('max(proven_at)')},
         'documents', count(*))::text AS age
       FROM ${this.#schema}.proof WHERE connector = $1`,
      [connector],
    );
    return JSON.parse(rows[0]!.age) as ProofAge;
  }

  /**
   * Forgets the documents of these connectors that a run over everything of them did not meet: there are none any more. What
   * the run resumed has met counts as well.
   */
  async forgetUnmet(runId: string, connectors: readonly string[]): Promise<void> {
    const sql = `WITH RECURSIVE part AS (
         SELECT id, resumes, started_at FROM ${this.#schema}.run WHERE id = $1
         UNION ALL SELECT run.id, run.resumes, run.started_at
         FROM ${this.#schema}.run JOIN part ON run.id = part.resumes)
       DELETE FROM ${this.#schema}.proof
       WHERE connector = ANY ($2) AND greatest(proven_at, met_at) < (SELECT min(started_at) FROM part)
         AND NOT EXISTS (SELECT FROM part WHERE part.resumes IS NOT NULL
           AND NOT EXISTS (SELECT FROM ${this.#schema}.run WHERE run.id = part.resumes))`;
    await withinTime(this.#pool, FORGET_MS, (client) => client.query(sql, [runId, connectors]));
  }
}
