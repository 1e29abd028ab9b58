/** The API on a real sync database with the real history of runs, asked over real HTTP. */
import { join } from 'node:path';
import { after } from 'node:test';
import pg from 'pg';
import { createLogger } from '../../../src/logging/logger.ts';
import { migrate } from '../../../src/postgres/migrate.ts';
import type { Position } from '../../../src/producer/position.ts';
import { type ApiServerOptions, startApiServer } from '../../../src/reconciler/http/api-server.ts';
import type { ApiUser } from '../../../src/reconciler/http/authentication.ts';
import { PositionWaits } from '../../../src/reconciler/http/position-waits.ts';
import type { ApiConnector, ApiServices } from '../../../src/reconciler/http/services.ts';
import { RunStore } from '../../../src/reconciler/runs/run-store.ts';
import type { PlannedRun } from '../../../src/reconciler/schedule/scheduler.ts';
import type { Outcome, RunRecorder } from '../../../src/reconciler/types.ts';
import { testDatabase } from '../../support/postgres.ts';

const CONSUMER_MIGRATIONS = join(import.meta.dirname, '../../../src/consumer/migrations');

export const USERS: readonly ApiUser[] = [
  { name: 'vera', role: 'viewer', password: 'only-looking' },
  { name: 'olga', role: 'operator', password: 'changing things: ñandú' },
];

export const LOG = createLogger({ name: 'test', level: 'silent' });

export function connector(name: string, adapter: 'changes' | 'restore' = 'changes'): ApiConnector {
  return {
    name,
    target: { path: '/registro', tag: 'sync', adapter },
    root: { schema: 'public', table: 'rar', idColumn: 'id_epsa', idType: 'integer' },
    tables: [
      { schema: 'public', table: 'rar', columns: ['id_epsa'] },
      { schema: 'public', table: 'localidad', columns: ['id'] },
    ],
    sourceRows: () => ({ sql: `SELECT 0 AS place, jsonb_build_object('id', $1::text) AS key LIMIT $2`, tables: [] }),
  };
}

export type User = 'vera' | 'olga';

export function authorization(user: User | ApiUser): string {
  const { name, password } = typeof user === 'string' ? USERS.find((one) => one.name === user)! : user;
  return `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
}

export interface CallInit extends RequestInit {
  /** Sent as JSON. */
  json?: unknown;
  user?: User;
}

/** Asks below /api/v1, as the operator unless told otherwise. */
export function caller(base: string): (method: string, path: string, init?: CallInit) => Promise<Response> {
  return (method, path, { json, user = 'olga', headers, ...init } = {}) =>
    fetch(`${base}/api/v1${path}`, {
      method,
      body: json === undefined ? undefined : JSON.stringify(json),
      headers: {
        authorization: authorization(user),
        ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        ...(headers as Record<string, string>),
      },
      ...init,
    });
}

export class ApiRig {
  readonly pool: pg.Pool;
  readonly store: RunStore;
  readonly services: ApiServices;
  scheduled: PlannedRun[] = [];
  /** The producer's position. */
  produced: Pick<Position, 'history' | 'seq' | 'end_lsn'> | null = null;
  /** Of each wait for a commit that has begun. */
  readonly waitSignals: AbortSignal[] = [];
  /** What runs do; at first they wait until they are cancelled or finished. */
  work: (recorder: RunRecorder) => Promise<Outcome>;
  #finish = Promise.withResolvers<Outcome>();
  #ending = new AbortController();
  #executions: Promise<unknown>[] = [];

  constructor(pool: pg.Pool) {
    this.pool = pool;
    this.store = new RunStore({
      pool,
      schema: 'reconciler',
      instance: 'test',
      keep: { days: 1, runs: 1_000, differencesPerRun: 10_000 },
      silentMs: 60_000,
    });
    this.work = ({ signal }) =>
      new Promise((resolve, reject) => {
        this.#finish.promise.then(resolve);
        signal.addEventListener('abort', () => reject(signal.reason));
      });
    const waits = new PositionWaits(pool, {
      start: () => undefined,
      reached: (lsn) => (this.produced !== null && this.produced.end_lsn >= lsn ? (this.produced as Position) : null),
    });
    this.services = {
      pool,
      schema: 'reconciler',
      connectors: [connector('epsa'), connector('places', 'restore')],
      runs: this.store,
      start: async (options, asker, extra) => this.#execute(await this.store.create(options, asker, extra)),
      resume: async (id, asker, extra) => this.#execute(await this.store.resume(id, asker, extra)),
      scheduled: () => this.scheduled,
      waitForPosition: (...wait) => {
        this.waitSignals.push(wait[4]);
        return waits.wait(...wait);
      },
    };
  }

  /** Ends the runs that wait. */
  finish(state: Outcome['state']): void {
    this.#finish.resolve({ state });
    this.#finish = Promise.withResolvers();
  }

  async close(): Promise<void> {
    this.#ending.abort(new Error('the test ends'));
    await Promise.allSettled(this.#executions);
  }

  #execute<T extends Awaited<ReturnType<RunStore['create']>>>(taken: T): T {
    const work = this.work;
    if (!taken.existing) this.#executions.push(this.store.execute(taken.run, work, this.#ending.signal));
    return taken;
  }

  /** SQL on the bookkeeping of epsa, `:s`. */
  async query<T extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<T[]> {
    return (await this.pool.query<T>(sql.replaceAll(':s', 'epsa_sync'), values)).rows;
  }

  /** A document with one version, acknowledged. */
  async addDocument(id: string, body: string | null, version = 1): Promise<void> {
    await this.query(
      `WITH d AS (
         INSERT INTO :s.document (id, epoch, version, deleted, accepted_epoch, accepted_version, etag)
         VALUES ($1, 3, $3, $2::text IS NULL, 3, $3, '"e1"') ON CONFLICT (id) DO UPDATE SET version = excluded.version)
       INSERT INTO :s.document_version (id, epoch, version, body, history, seq, lsn) VALUES ($1, 3, $3, $2, 2, 7, '0/16B3748')`,
      [id, body, version],
    );
  }

  async addDeadLetter(id: string): Promise<void> {
    await this.query(
      `INSERT INTO :s.dead_letter (id, epoch, version, reason, path, detail) VALUES ($1, 3, 1, 'refused', 'rar.nombre', '{"msg": "no"}')`,
      [id],
    );
  }

  /** FASTAAPS has acknowledged a changeset. */
  async delivered(history: number, lsn: string): Promise<void> {
    const set = `history = $1, seq = 7, lsn = $2`;
    await this.query(`UPDATE :s.checkpoint SET ${set}, committed_at = now(), applied_at = now()`, [history, lsn]);
    await this.query(
      `UPDATE :s.delivery SET ${set}, epoch = 3, version = 1, committed_at = now(), delivered_at = now()`,
      [history, lsn],
    );
  }
}

export interface RunningApi {
  rig: ApiRig;
  url: string;
  call: ReturnType<typeof caller>;
  close(graceMs?: number): Promise<void>;
}

/** Starts everything; it ends by itself after the test or suite. */
export async function startApi(options: Partial<ApiServerOptions> = {}): Promise<RunningApi> {
  const ends: (() => Promise<unknown>)[] = [];
  // Before the database: what uses it ends first.
  after(async () => {
    for (const end of ends) await end();
  });
  const { url: database } = await testDatabase();
  const pool = new pg.Pool({ connectionString: database, max: 10 });
  pool.on('error', () => undefined);
  const client = await pool.connect();
  await migrate(client, CONSUMER_MIGRATIONS, 'epsa_sync');
  client.release();
  const rig = new ApiRig(pool);
  await rig.store.migrate();
  const server = await startApiServer(rig.services, { host: '127.0.0.1', port: 0, users: USERS, log: LOG, ...options });
  let closed: Promise<void> | undefined;
  const close = (graceMs?: number): Promise<void> => {
    closed ??= server.close(graceMs);
    return closed;
  };
  ends.push(
    () => close(0),
    () => rig.close(),
    () => pool.end(),
  );
  const url = `http://127.0.0.1:${server.port}`;
  return { rig, url, call: caller(url), close };
}
