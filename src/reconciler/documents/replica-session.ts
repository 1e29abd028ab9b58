import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { CompiledConnector, Placement } from '../../connector/compiled.ts';
import { type ConnectorSchemas, replicaRelation } from '../../consumer/replica-names.ts';
import { ReplicaTables } from '../../consumer/replica-tables.ts';
import { connect, disconnect, startupOptions, VALUE_SETTINGS } from '../../postgres/session.ts';

export interface ReplicaSessionOptions {
  connector: CompiledConnector;
  schemas: ConnectorSchemas;
  syncUrl: string;
}

/**
 * Shorter than deadlock_timeout (1 s): where we and the consumer would wait for each other, it is we who give way, before
 * the server looks for somebody to end.
 */
const LOCK_MS = 200;
const LOCK_NOT_AVAILABLE = '55P03';

/** One session on `sync` that reads the live replica in short snapshots, one after the other. */
export class ReplicaSession {
  readonly #options: ReplicaSessionOptions;
  readonly #tables: ReplicaTables;
  #client: pg.Client | null = null;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: ReplicaSessionOptions) {
    this.#options = options;
    this.#tables = new ReplicaTables(options.schemas, false);
  }

  /** Runs `work` when what was asked before is done. After an error the session is a new one. */
  use<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const done = this.#last.then(() => this.#use(work));
    this.#last = done.catch(() => undefined);
    return done;
  }

  /**
   * Runs `read` in one read-only REPEATABLE READ snapshot of the live replica and the bookkeeping. The tables' locks come
   * before the snapshot: where a full snapshot of SIIRAyS was swapped in in between, they would look empty.
   * @param read gets the places of the tables as of the snapshot
   * @throws PostgreSQL's errors: 42P01 where the replica has no table of this name yet
   */
  snapshot<T>(read: (client: pg.Client, placement: Placement) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.use(async (client) => {
      await this.#begin(client, signal);
      await this.#tables.load(client);
      const result = await read(client, this.#tables.placement);
      await client.query('COMMIT');
      return result;
    });
  }

  /** Ends the session; what is under way on it fails. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#discard();
  }

  async #use<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    try {
      return await work(await this.#connected());
    } catch (error) {
      await this.#discard();
      throw error;
    }
  }

  /** A swap, a TRUNCATE or the like is waited for, however long it takes. */
  async #begin(client: pg.Client, signal: AbortSignal | undefined): Promise<void> {
    const { connector, schemas } = this.#options;
    const locks = connector.tables.map((table) => replicaRelation(schemas.live, table)).join(', ');
    for (;;) {
      signal?.throwIfAborted();
      try {
        const lock = locks === '' ? '' : `LOCK TABLE ${locks} IN ACCESS SHARE MODE`;
        await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${lock}`);
        return;
      } catch (error) {
        if (!(error instanceof pg.DatabaseError) || error.code !== LOCK_NOT_AVAILABLE || this.#closed) throw error;
        await client.query('ROLLBACK');
        await sleep(LOCK_MS, undefined, { signal });
      }
    }
  }

  async #connected(): Promise<pg.Client> {
    if (this.#closed) throw new Error('the comparison is closed');
    this.#client ??= await connect({
      connectionString: this.#options.syncUrl,
      application_name: 'siirays-sync reconciler',
      options: startupOptions({
        ...VALUE_SETTINGS,
        jit: 'off',
        lock_timeout: String(LOCK_MS),
        idle_in_transaction_session_timeout: '60s',
      }),
    });
    return this.#client;
  }

  async #discard(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    if (client) await disconnect(client);
  }
}
