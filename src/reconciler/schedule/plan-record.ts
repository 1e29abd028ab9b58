import type pg from 'pg';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { milliseconds } from '../runs/run-sql.ts';
import { withinTime } from '../runs/transaction.ts';

/** What has become of a plan's times. Times are milliseconds since 1970. */
export interface PlanState {
  readonly cron: string;
  readonly timezone: string;
  /** Planned times up to this one are done with. */
  readonly handledAt: number;
  /** The planned time that is being seen to, and what was the plan's newest run before it. */
  readonly due: { readonly at: number; readonly runBefore: string | null; readonly attempts: number } | null;
}

/** Longest wait for an answer of the database. */
const WAIT_MS = 10_000;

/** The table of plans, which outlives the processes. */
export class PlanRecord {
  readonly #pool: pg.Pool;
  readonly #table: string;
  readonly #leader: string;

  constructor(pool: pg.Pool, schema: string) {
    this.#pool = pool;
    this.#table = `${quoteIdentifier(schema)}.schedule`;
    this.#leader = `${quoteIdentifier(schema)}.leader`;
  }

  async read(name: string): Promise<PlanState | null> {
    const rows = await this.#query<{ state: string }>(
      `SELECT json_build_object('cron', cron, 'timezone', timezone, 'handledAt', ${milliseconds('handled_at')},
         'due', CASE WHEN due_at IS NOT NULL THEN json_build_object(
           'at', ${milliseconds('due_at')}, 'runBefore', run_before, 'attempts', attempts) END)::text AS state
       FROM ${this.#table} WHERE name = $1`,
      [name],
    );
    return rows[0] ? (JSON.parse(rows[0].state) as PlanState) : null;
  }

  /** @returns whether it was written: false where this token does not lead any more */
  async write(name: string, { cron, timezone, handledAt, due }: PlanState, token: string): Promise<boolean> {
    const written = await this.#query(
      `INSERT INTO ${this.#table} (name, cron, timezone, handled_at, due_at, run_before, attempts)
       SELECT $1, $2, $3, to_timestamp($4::float8 / 1000), to_timestamp($5::float8 / 1000), $6::uuid, $7::int
       FROM ${this.#leader} WHERE token = $8
       ON CONFLICT (name) DO UPDATE SET cron = excluded.cron, timezone = excluded.timezone,
         handled_at = excluded.handled_at, due_at = excluded.due_at, run_before = excluded.run_before,
         attempts = excluded.attempts
       RETURNING name`,
      [name, cron, timezone, handledAt, due?.at ?? null, due?.runBefore ?? null, due?.attempts ?? 0, token],
    );
    return written.length === 1;
  }

  async #query<T extends pg.QueryResultRow>(sql: string, values: unknown[]): Promise<T[]> {
    const { rows } = await withinTime(this.#pool, WAIT_MS, (client) => client.query<T>(sql, values));
    return rows;
  }
}
