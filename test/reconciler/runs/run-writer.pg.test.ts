import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import type pg from 'pg';
import { RunFindings } from '../../../src/reconciler/runs/run-findings.ts';
import { RunWriter } from '../../../src/reconciler/runs/run-writer.ts';
import { testDatabase } from '../../support/postgres.ts';
import { ANA, difference, freshStores, never, runOptions } from './stores.ts';

const database = await testDatabase();

/** The server does what it is asked, and every second answer on a borrowed connection is lost. */
function loseAnswers(pool: pg.Pool): void {
  const connect = pool.connect.bind(pool) as (callback?: unknown) => Promise<pg.PoolClient>;
  let asked = 0;
  const unlucky = new WeakSet<pg.PoolClient>();
  pool.connect = (async (callback?: unknown) => {
    // The pool's own queries come with a callback.
    if (callback) return connect(callback);
    const client = await connect();
    if (unlucky.has(client)) return client;
    unlucky.add(client);
    const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>;
    client.query = (async (...args: unknown[]) => {
      const result = await query(...args);
      asked += 1;
      if (asked % 2 === 1) throw new Error('the connection broke');
      return result;
    }) as unknown as typeof client.query;
    return client;
  }) as unknown as typeof pool.connect;
}

describe('writing a run', () => {
  test('whatever answers are lost on the way, each thing is written once', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    const { run } = await store.create(runOptions(), ANA);
    const unlucky = stores.open();
    loseAnswers(unlucky.pool);
    const ended = await unlucky.execute(
      run,
      async (recorder) => {
        for (let i = 0; i < 5; i++) {
          await recorder.differences(Array.from({ length: 500 }, () => difference()));
          recorder.progress({ rows: i });
        }
        return { state: 'differences' };
      },
      never,
    );
    assert.deepEqual([ended.state, ended.found, ended.progress.rows], ['differences', { row: 2_500 }, 4]);
    assert.equal((await store.differences(run.id, { limit: 10_000 })).differences.length, 2_500);
    await store.create(runOptions(), ANA);
  });

  test('a cursor is not written before the differences that lie before it', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    const { run } = await store.create(runOptions(), ANA);
    const { pool, schema } = store;
    const writer = new RunWriter({
      ...{ pool, schema, instance: 'a', silentMs: 10_000 },
      ...{ execution: randomUUID(), runId: run.id },
    });
    await writer.begin();
    const findings = new RunFindings(run.progress, null, [], 10_000);
    findings.add(Array.from({ length: 1_500 }, () => difference()));
    findings.cursor = { after: '9' };
    const stored = async () =>
      (await stores.sql(`SELECT cursor, (SELECT count(*)::int FROM :schema.difference) AS kept FROM :schema.run`))[0];
    await writer.write(findings);
    assert.deepEqual(await stored(), { cursor: null, kept: 1_000 });
    await writer.write(findings);
    assert.deepEqual(await stored(), { cursor: { after: '9' }, kept: 1_500 });
  });
});
