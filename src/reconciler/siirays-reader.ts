import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { TableRef } from '../connector/compiled.ts';
import { quoteRelation } from '../postgres/identifier.ts';
import { type Lsn, parseLsn } from '../postgres/lsn.ts';
import { connect, disconnect, SOURCE_SETTINGS, setLocal, TEXT_VALUES } from '../postgres/session.ts';

export interface SiiraysReaderOptions {
  /** SIIRAyS, or the PgBouncer before it. */
  url: string;
  /** Longest wait for a table's lock. */
  lockTimeoutMs: number;
  /** Part of the time that SIIRAyS may be busy with us, above 0 and up to 1: each read is followed by a rest. */
  share: number;
  signal: AbortSignal;
}

/** A filtering row security policy is an error, not a smaller table; a reader that hangs must not hold back vacuum. */
const READING = {
  row_security: 'off',
  idle_in_transaction_session_timeout: '60s',
  // Nothing of ours stays in SIIRAyS for ever, also where its reader is gone.
  statement_timeout: '300s',
  client_connection_check_interval: '5s',
  jit: 'off',
};
/** A read that takes so much longer than its aim says that SIIRAyS is loaded: the rest after it is as long again. */
const LOADED = 2;

/**
 * Reads SIIRAyS in short read-only snapshots, one at a time, through a transaction pool: no start-up parameters, no named
 * statements, nothing kept between snapshots. All values come as text.
 */
export class SiiraysReader {
  readonly #options: SiiraysReaderOptions;
  #client: pg.Client | null = null;
  #restUntil = 0;

  constructor(options: SiiraysReaderOptions) {
    this.#options = options;
  }

  /**
   * Runs `read` in one REPEATABLE READ snapshot of these tables. The locks (ACCESS SHARE) come before the snapshot: a
   * table that a rewrite replaced in between would look empty.
   * @param aimMs how long it should take; what takes much longer is followed by a longer rest
   * @throws PostgreSQL's errors: 55P03 where a lock was not to be had in time, 42P01 where there is no such table
   */
  async snapshot<T>(tables: readonly TableRef[], aimMs: number, read: (client: pg.Client) => Promise<T>): Promise<T> {
    await this.#rest();
    const client = await this.#connected();
    const started = performance.now();
    // A statement under way ends with its connection.
    const abort = (): void => void this.close();
    this.#options.signal.addEventListener('abort', abort, { once: true });
    try {
      const settings = setLocal({ ...SOURCE_SETTINGS, ...READING, lock_timeout: `${this.#options.lockTimeoutMs}` });
      const locks = tables.map(({ schema, table }) => quoteRelation(schema, table)).join(', ');
      await client.query(
        `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${settings}${locks ? `; LOCK TABLE ${locks} IN ACCESS SHARE MODE` : ''}`,
      );
      const result = await read(client);
      await client.query('COMMIT');
      this.#pace(performance.now() - started, aimMs);
      return result;
    } catch (error) {
      await this.close();
      this.#options.signal.throwIfAborted();
      throw error;
    } finally {
      this.#options.signal.removeEventListener('abort', abort);
    }
  }

  /**
   * An LSN below which every commit lies that a snapshot taken before this call could see. WAL is flushed by then: also
   * that of asynchronous commits, three wal_writer_delay later at the latest (PostgreSQL manual, "Asynchronous Commit").
   */
  async barrier(): Promise<Lsn> {
    const delay = await this.snapshot([], 0, (client) =>
      client.query<{ ms: string }>(`SELECT setting AS ms FROM pg_settings WHERE name = 'wal_writer_delay'`),
    );
    await sleep(3 * Number(delay.rows[0]!.ms), undefined, { signal: this.#options.signal });
    const flushed = await this.snapshot([], 0, (client) =>
      client.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn'),
    );
    return parseLsn(flushed.rows[0]!.lsn);
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    if (client) await disconnect(client);
  }

  async #connected(): Promise<pg.Client> {
    this.#client ??= await connect({
      connectionString: this.#options.url,
      application_name: 'siirays-sync reconciler',
      types: TEXT_VALUES,
    });
    return this.#client;
  }

  #pace(ms: number, aimMs: number): void {
    const { share } = this.#options;
    const loaded = aimMs > 0 && ms > LOADED * aimMs ? ms : 0;
    this.#restUntil = performance.now() + ms * (1 / share - 1) + loaded;
  }

  async #rest(): Promise<void> {
    const { signal } = this.#options;
    signal.throwIfAborted();
    const ms = this.#restUntil - performance.now();
    if (ms >= 1) await sleep(ms, undefined, { signal });
  }
}
