import type pg from 'pg';
import { quoteIdentifier } from '../postgres/identifier.ts';
import type { Lease } from './take-over.ts';

/** What the protocol of the token does with the checkpoint row. */
export interface LeaseTable {
  read(): Promise<Lease>;
  /** Raises the token where the lease still is as it was seen. @returns the new token, or null where it is not */
  raise(seen: Lease, instanceId: string): Promise<string | null>;
  /** Renews the lease. @returns null where the token is another */
  renew(token: string): Promise<{ paused: boolean } | null>;
  /** Gives the token back; without effect where it is another. */
  release(token: string): Promise<void>;
}

/** What the server says where a statement waited too long, for a lock or at all. */
const WAITED = new Set(['55P03', '57014']);

/** The checkpoint row in the sync database. */
export class SqlLeaseTable implements LeaseTable {
  readonly #client: pg.ClientBase;
  readonly #table: string;
  readonly #waitMs: number;
  #prepared = false;

  /** @param waitMs how long a renewal may wait for the row */
  constructor(client: pg.ClientBase, syncSchema: string, waitMs: number) {
    this.#client = client;
    this.#table = `${quoteIdentifier(syncSchema)}.checkpoint`;
    this.#waitMs = Math.ceil(waitMs);
  }

  async read(): Promise<Lease> {
    const { rows } = await this.#client.query<Lease>(`SELECT token::text, holder, renewals::text FROM ${this.#table}`);
    return rows[0]!;
  }

  async raise({ token, renewals, holder }: Lease, instanceId: string): Promise<string | null> {
    const { rows } = await this.#client.query<{ token: string }>(
      `UPDATE ${this.#table} SET token = token + 1, holder = $1, renewals = 0
       WHERE token = $2 AND renewals = $3 AND holder IS NOT DISTINCT FROM $4 RETURNING token::text`,
      [instanceId, token, renewals, holder],
    );
    return rows[0]?.token ?? null;
  }

  /**
   * A renewal that cannot get at the row is no loss: the apply transaction, which locks the row at its end and may be long
   * in its COMMIT, counts as one.
   */
  async renew(token: string): Promise<{ paused: boolean } | null> {
    if (!this.#prepared) {
      // Losing the last renewals in a crash of the server loses nothing: there is no need to wait for its disk.
      await this.#client.query(`SET synchronous_commit = off; SET statement_timeout = ${this.#waitMs}`);
      this.#prepared = true;
    }
    const { rows } = await this.#client
      .query<{ paused: boolean }>(
        `UPDATE ${this.#table} SET renewals = renewals + 1 WHERE token = $1 RETURNING paused`,
        [token],
      )
      .catch((error: { code?: string }) => {
        if (!WAITED.has(error.code ?? '')) throw error;
        return this.#client.query<{ paused: boolean }>(`SELECT paused FROM ${this.#table} WHERE token = $1`, [token]);
      });
    return rows[0] ?? null;
  }

  async release(token: string): Promise<void> {
    await this.#client.query(`UPDATE ${this.#table} SET holder = NULL WHERE token = $1`, [token]);
  }
}
