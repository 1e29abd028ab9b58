/** Stores of reconciliations on a real server, as several processes would have them. */
import { after } from 'node:test';
import pg from 'pg';
import { RunStore, type RunStoreOptions } from '../../../src/reconciler/runs/run-store.ts';
import type { Asker, Difference, Outcome, RunFunction, RunOptions } from '../../../src/reconciler/types.ts';

export const ANA: Asker = { trigger: 'http', name: 'ana' };
export const EQUAL: Outcome = { state: 'equal' };

export function runOptions(change: Partial<RunOptions> = {}): RunOptions {
  return {
    mode: 'verify',
    direct: false,
    connectors: ['epsa'],
    ids: null,
    tables: null,
    target: null,
    stopAfter: null,
    maxTimeMs: null,
    ...change,
  };
}

export function difference(change: Partial<Difference> = {}): Difference {
  return {
    connector: 'epsa',
    kind: 'row',
    table: 'public.epsa',
    key: { id: '1' },
    documents: ['1'],
    path: 'nombre',
    expected: 'a',
    actual: 'b',
    wrong: 'replica',
    since: null,
    outcome: 'found',
    reason: null,
    ...change,
  };
}

let schemas = 0;

export interface Stores {
  schema: string;
  /** A store with a pool of its own, as another process has one. */
  open(change?: Partial<RunStoreOptions>): RunStore;
  /** A store whose process can be killed: nothing of it reaches the database after that. */
  openMortal(change?: Partial<RunStoreOptions>): { store: RunStore; kill(): void };
  sql<T extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<T[]>;
}

/** A fresh, migrated schema. */
export async function freshStores(url: string): Promise<Stores> {
  schemas += 1;
  const schema = `reconciler ${schemas}`;
  const pools: pg.Pool[] = [];
  const openPool = () => {
    const pool = new pg.Pool({ connectionString: url, max: 4 });
    pool.on('error', () => undefined);
    pools.push(pool);
    return pool;
  };
  after(() => Promise.all(pools.map((pool) => pool.end())));
  const open = (change: Partial<RunStoreOptions> = {}) =>
    new RunStore({
      pool: openPool(),
      schema,
      instance: `instance ${pools.length}`,
      keep: { days: 30, runs: 1_000, differencesPerRun: 10_000 },
      silentMs: 10_000,
      ...change,
    });
  const openMortal = (change: Partial<RunStoreOptions> = {}) => {
    const pool = openPool();
    return { store: open({ ...change, pool }), kill: () => cut(pool) };
  };
  const admin = openPool();
  await open().migrate();
  return {
    schema,
    open,
    openMortal,
    sql: async (text, values = []) => (await admin.query(text.replaceAll(':schema', `"${schema}"`), values)).rows,
  };
}

/** From now on nothing goes through the pool any more. */
function cut(pool: pg.Pool): void {
  pool.connect = (() => Promise.reject(new Error('this process is dead'))) as unknown as typeof pool.connect;
  pool.query = (() => Promise.reject(new Error('this process is dead'))) as unknown as typeof pool.query;
}

/** Work that goes on until it is told to stop or to end. */
export function longWork(): { work: RunFunction; finish(outcome?: Outcome): void; recorder: Promise<Recorder> } {
  const { promise: recorder, resolve } = Promise.withResolvers<Recorder>();
  const { promise: ended, resolve: finish } = Promise.withResolvers<Outcome>();
  const work: RunFunction = async (given) => {
    resolve(given);
    const stopped = new Promise<never>((_, reject) => {
      if (given.signal.aborted) reject(given.signal.reason);
      given.signal.addEventListener('abort', () => reject(given.signal.reason));
    });
    return Promise.race([ended, stopped]);
  };
  return { work, finish: (outcome = EQUAL) => finish(outcome), recorder };
}

type Recorder = Parameters<RunFunction>[0];

/** A signal that does not abort within a test. */
export const never = new AbortController().signal;
