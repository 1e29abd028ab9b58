import type pg from 'pg';
import { connect, disconnect, startupOptions, VALUE_SETTINGS } from '../../postgres/session.ts';

/** A swap of the whole replica, or an apply of a large transaction, holds its locks for no longer than this. */
const LOCK_TIMEOUT_MS = 10_000;

/** Reads the replica in short read-only snapshots, one at a time, with pg's own types: numbers of 64 bits and numerics are texts. */
export class ReplicaReader {
  readonly #url: string;
  #client: pg.Client | null = null;

  constructor(syncUrl: string) {
    this.#url = syncUrl;
  }

  /**
   * Runs `read` in one REPEATABLE READ snapshot. The lock comes before the snapshot: tables that a swap put in their place
   * in between would look empty.
   * @param relation quoted name of the table that is read; null: none is
   */
  async snapshot<T>(relation: string | null, read: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = await this.#connected();
    try {
      const lock = relation === null ? '' : `; LOCK TABLE ${relation} IN ACCESS SHARE MODE`;
      await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY${lock}`);
      const result = await read(client);
      await client.query('COMMIT');
      return result;
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    if (client) await disconnect(client);
  }

  async #connected(): Promise<pg.Client> {
    this.#client ??= await connect({
      connectionString: this.#url,
      application_name: 'siirays-sync reconciler',
      options: startupOptions({
        ...VALUE_SETTINGS,
        idle_in_transaction_session_timeout: '60s',
        lock_timeout: String(LOCK_TIMEOUT_MS),
        jit: 'off',
      }),
    });
    return this.#client;
  }
}
