/**
 * Plays SIIRAyS's users: node embedded/siirays/traffic.ts --rate N [--seed S] [--duration 60s] [--connections 4]
 * on the database of SIIRAYS_URL, or beside `npm start` on its SIIRAyS.
 */
import { parseArgs } from 'node:util';
import type pg from 'pg';
import { withDevEndpoints } from '../../src/cli/dev-endpoints.ts';
import { duration, wholeNumber } from '../../src/config/units.ts';
import { connect, disconnect } from '../../src/postgres/session.ts';
import { createPrng } from './sample-prng.ts';
import type { World } from './sample-table.ts';
import { randomTransaction, readWorld, type TransactionResult } from './traffic-transactions.ts';

export { randomTransaction, readWorld } from './traffic-transactions.ts';

export interface TrafficOptions {
  /** postgres:// URL of SIIRAyS, of a user who may write. */
  url: string;
  /** Transactions per second. */
  rate: number;
  seed?: number;
  /** Ends by itself after so many milliseconds. */
  durationMs?: number;
  /** Users at the same time. */
  connections?: number;
  /** Told of each transaction that ended without an error. */
  onTransaction?: (result: TransactionResult) => void;
}

export interface TrafficResult {
  committed: number;
  rolledBack: number;
  /** Ended by the server: deadlocks, serialization failures, lost connections. */
  failed: number;
  rows: number;
}

/**
 * Errors that a user would answer by trying something else: deadlock, serialization, lock not available, and a key that
 * somebody else took in the same moment.
 */
const PASSING = new Set(['40P01', '40001', '55P03', '23505']);

/**
 * Makes random transactions at a steady rate over several connections until the signal or the duration ends it. The
 * n-th transaction depends on the seed, on n and on what it finds. A lost connection is opened again.
 * @throws an error of the server that is none of those that pass (deadlock, serialization failure, lost connection)
 */
export async function runTraffic(options: TrafficOptions, signal?: AbortSignal): Promise<TrafficResult> {
  const { rate, seed = 1, durationMs = Number.POSITIVE_INFINITY, connections = 4 } = options;
  const result: TrafficResult = { committed: 0, rolledBack: 0, failed: 0, rows: 0 };
  const ending = new AbortController();
  const ended = signal ? AbortSignal.any([signal, ending.signal]) : ending.signal;
  const start = performance.now();
  let next = 0;

  const user = async (): Promise<void> => {
    let session: { client: pg.Client; world: World } | undefined;
    try {
      while (!ended.aborted) {
        const turn = next++;
        const due = (turn * 1000) / rate;
        if (due >= durationMs || !(await waitUntil(start + due, ended))) return;
        try {
          session ??= await openSession(options.url);
          const done = await randomTransaction(session.client, createPrng(seed, turn), session.world);
          result[done.committed ? 'committed' : 'rolledBack']++;
          result.rows += done.rows;
          options.onTransaction?.(done);
        } catch (error) {
          result.failed++;
          if (PASSING.has(codeOf(error))) continue;
          if (!isConnectionLost(error)) throw error;
          if (session) await disconnect(session.client);
          session = undefined;
          await waitUntil(performance.now() + 200, ended);
        }
      }
    } catch (error) {
      ending.abort();
      throw error;
    } finally {
      if (session) await disconnect(session.client);
    }
  };

  const users = await Promise.allSettled(Array.from({ length: connections }, user));
  const failure = users.find((one) => one.status === 'rejected');
  if (failure) throw failure.reason;
  return result;
}

async function openSession(url: string): Promise<{ client: pg.Client; world: World }> {
  const client = await connect({ connectionString: url, application_name: 'traffic' });
  try {
    return { client, world: await readWorld(client) };
  } catch (error) {
    await disconnect(client);
    throw error;
  }
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : '';
}

/**
 * Classes 08 (connection), 57P (shutdown, start-up), 53 (too many connections; PostgreSQL manual, Appendix A), an error
 * of the socket (ECONNRESET), or the driver's own, a plain Error without a code.
 */
function isConnectionLost(error: unknown): boolean {
  const code = codeOf(error);
  if (code === '') return error instanceof Error && error.constructor === Error;
  return /^(08|57P|53|E[A-Z_]+$)/.test(code);
}

/** Waits for a moment of performance.now(); false where the signal came first. */
function waitUntil(moment: number, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  if (signal.aborted) return Promise.resolve(false);
  const onAbort = () => finish(false);
  const finish = (reached: boolean) => {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    resolve(reached);
  };
  const timer = setTimeout(finish, Math.max(0, moment - performance.now()), true);
  signal.addEventListener('abort', onAbort);
  return promise;
}

function positive(text: string): number {
  const number = Number(text);
  if (!(number > 0 && number <= 100_000)) throw new RangeError(`--rate must be a number from 0 to 100000, not ${text}`);
  return number;
}

/** The command line. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rate: { type: 'string' },
      seed: { type: 'string', default: '1' },
      duration: { type: 'string' },
      connections: { type: 'string', default: '4' },
    },
  });
  const url = withDevEndpoints(process.env).SIIRAYS_URL;
  if (!values.rate || !url) {
    process.stderr.write(
      'usage: traffic.ts --rate N [--seed S] [--duration 60s] [--connections 4], with SIIRAYS_URL\n',
    );
    return 64;
  }
  const ending = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => ending.abort());
  let transactions = 0;
  const report = setInterval(() => process.stdout.write(`traffic: ${transactions} transactions\n`), 10_000);
  const result = await runTraffic(
    {
      url,
      rate: positive(values.rate),
      seed: wholeNumber(0, 2 ** 48).parse(values.seed),
      durationMs: values.duration ? duration('1s', '7d').parse(values.duration) : undefined,
      connections: wholeNumber(1, 100).parse(values.connections),
      onTransaction: () => transactions++,
    },
    ending.signal,
  );
  clearInterval(report);
  const { committed, rolledBack, failed, rows } = result;
  process.stdout.write(`traffic: ${committed} committed, ${rolledBack} rolled back, ${failed} failed, ${rows} rows\n`);
  return 0;
}

if (import.meta.main) process.exitCode = await main();
