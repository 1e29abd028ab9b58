import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import pg from 'pg';
import { FirstLoads } from '../../src/reconciler/first-load.ts';
import { testDatabase } from '../support/postgres.ts';

const { url } = await testDatabase();

test('the first loads are asked for until they are known, and no more', async () => {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  pool.on('error', () => undefined);
  after(() => pool.end());
  const loads = new FirstLoads(pool);
  const both = () => loads.latest(['one', 'two']);
  assert.equal(await both(), null, 'no consumer ever ran');
  for (const name of ['one', 'two']) {
    await pool.query(`CREATE SCHEMA ${name}_sync; CREATE TABLE ${name}_sync.delivery (first_delivered_at timestamptz)`);
    await pool.query(`INSERT INTO ${name}_sync.delivery VALUES (NULL)`);
  }
  await pool.query(`UPDATE one_sync.delivery SET first_delivered_at = '2026-01-02Z'`);
  assert.equal(await both(), null, 'one is missing');
  await pool.query(`UPDATE two_sync.delivery SET first_delivered_at = '2026-01-01Z'`);
  assert.equal(await both(), Date.UTC(2026, 0, 2));
  await pool.query('DROP SCHEMA one_sync, two_sync CASCADE');
  assert.equal(await both(), Date.UTC(2026, 0, 2), 'nothing is asked any more');
  assert.equal(await loads.latest(['two']), Date.UTC(2026, 0, 1));
});
