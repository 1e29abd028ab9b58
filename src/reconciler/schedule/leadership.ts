import type pg from 'pg';
import { type Lease, mayTakeOver, type WatchedLease, watchLease } from '../../consumer/take-over.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { withinTime } from '../runs/transaction.ts';

export interface LeadershipOptions {
  pool: pg.Pool;
  schema: string;
  instance: string;
  /** A leader that is not heard of for so long is replaced; it stops leading by itself by then. */
  leaseMs: number;
}

/** One of the processes that share a schema leads. */
export class Leadership {
  readonly #o: LeadershipOptions;
  readonly #table: string;
  #token: string | null = null;
  #renewedAt = 0;
  #watched: WatchedLease | null = null;

  constructor(options: LeadershipOptions) {
    this.#o = options;
    this.#table = `${quoteIdentifier(options.schema)}.leader`;
  }

  get leads(): boolean {
    return this.#token !== null && performance.now() - this.#renewedAt < this.#o.leaseMs;
  }

  /** What fences this leader's writes; null: it does not lead. */
  get token(): string | null {
    return this.leads ? this.#token : null;
  }

  /** Renews the lead, or takes it where that is allowed. To be called several times within the lease. */
  async step(): Promise<boolean> {
    const started = performance.now();
    await withinTime(this.#o.pool, this.#o.leaseMs, (client) =>
      this.#token === null ? this.#watch(client, started) : this.#renew(client, started),
    );
    return this.leads;
  }

  /** Gives the lead back, so that a standby need not wait. */
  async release(): Promise<void> {
    const token = this.#token;
    this.#token = null;
    if (token === null) return;
    const sql = `UPDATE ${this.#table} SET holder = NULL WHERE token = $1`;
    await withinTime(this.#o.pool, this.#o.leaseMs, (client) => client.query(sql, [token]));
  }

  async #renew(client: pg.ClientBase, now: number): Promise<void> {
    const { rowCount } = await client.query(`UPDATE ${this.#table} SET renewals = renewals + 1 WHERE token = $1`, [
      this.#token,
    ]);
    if (rowCount === 1) this.#renewedAt = now;
    else this.#token = null;
  }

  async #watch(client: pg.ClientBase, now: number): Promise<void> {
    const { instance, leaseMs } = this.#o;
    const { rows } = await client.query<Lease>(`SELECT token::text, holder, renewals::text FROM ${this.#table}`);
    this.#watched = watchLease(this.#watched, rows[0]!, now);
    if (!mayTakeOver(this.#watched, instance, now, leaseMs)) return;
    const { token, holder, renewals } = this.#watched.lease;
    const taken = await client.query<{ token: string }>(
      `UPDATE ${this.#table} SET token = token + 1, holder = $1, renewals = 0
       WHERE token = $2 AND renewals = $3 AND holder IS NOT DISTINCT FROM $4 RETURNING token::text`,
      [instance, token, renewals, holder],
    );
    this.#token = taken.rows[0]?.token ?? null;
    this.#renewedAt = now;
    this.#watched = null;
  }
}
