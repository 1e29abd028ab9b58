import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect, disconnect } from '../../../src/postgres/session.ts';
import { testDatabase } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { keysOf, RowsRig } from './rows-rig.ts';

const DDL = `
  CREATE TABLE uno (id integer PRIMARY KEY, v text);
  CREATE TABLE dos (a integer, b text, v text, PRIMARY KEY (b, a));
  CREATE TABLE tres (a integer, v text);
  CREATE TABLE cuatro (id integer PRIMARY KEY, v text);
  INSERT INTO uno SELECT g, g FROM generate_series(1, 20) g;
  INSERT INTO dos SELECT g, g % 3, g FROM generate_series(1, 20) g;
  INSERT INTO tres SELECT g, g FROM generate_series(1, 20) g;
  INSERT INTO cuatro SELECT g, g FROM generate_series(1, 20) g;
  ANALYZE`;

async function rigged(): Promise<RowsRig> {
  const rig = await RowsRig.create((await testDatabase()).url, (await testDatabase()).url, DDL);
  await rig.copyAll();
  return rig;
}

describe('a scan', () => {
  test('goes on from each of its cursors, and finds the rest', async () => {
    const rig = await rigged();
    await rig.sync.client.query(`
      UPDATE c.uno SET v = '' WHERE id IN (1, 20);
      UPDATE c.dos SET v = '' WHERE a IN (3, 11);
      UPDATE c.tres SET v = '' WHERE a = 5;
      UPDATE c.cuatro SET v = '' WHERE id IN (2, 19)`);
    const whole = await rig.scan();
    const all = keysOf(whole.candidates);
    assert.equal(all.length, 8);
    assert.equal(whole.compared, 80);
    const seen: string[] = [];
    const comparison = rig.comparison();
    for await (const range of comparison.scan(null, new AbortController().signal)) {
      seen.push(...keysOf(range.candidates));
      const rest = await rig.scan({}, JSON.parse(JSON.stringify(range.cursor)));
      const both = new Set([...seen, ...keysOf(rest.candidates)]);
      assert.deepEqual([...both].sort(), [...new Set(all)].sort(), JSON.stringify(range.cursor));
    }
    assert.deepEqual(whole.cursors.at(-1), { table: null, after: null });
    assert.deepEqual((await rig.scan({}, whole.cursors.at(-1))).cursors, []);
  });

  test('tells about how many rows there are from the first range on', async () => {
    const rig = await rigged();
    const totals: number[] = [];
    for await (const { total } of rig.comparison().scan(null, new AbortController().signal)) totals.push(total);
    assert.deepEqual(new Set(totals), new Set([80]));
  });

  test('looks only at the tables that are asked for', async () => {
    const rig = await rigged();
    const { compared } = await rig.scan({ tables: ['public.dos', 'public.otra'] });
    assert.equal(compared, 20);
  });

  test("ends with the signal's reason", async () => {
    const rig = await rigged();
    const aborting = new AbortController();
    const reason = new Error('cancelled by somebody');
    await assert.rejects(async () => {
      for await (const _ of rig.comparison().scan(null, aborting.signal)) aborting.abort(reason);
    }, reason);
  });

  test('passes over tables that cannot be compared, and says why', async () => {
    const rig = await rigged();
    await rig.siirays.query('DROP TABLE uno; ALTER TABLE dos DROP COLUMN v; ALTER TABLE tres RENAME COLUMN a TO z');
    await rig.sync.client.query('UPDATE c.cuatro SET v = NULL WHERE id = 7');
    const { candidates } = await rig.scan();
    assert.deepEqual(keysOf(candidates), ['cuatro:7']);
    assert.match(rig.notComparable['public.uno']!, /SIIRAyS has no table public\.uno/);
    assert.match(rig.notComparable['public.dos']!, /lost a column.*\(column t\.v does not exist\)/);
    assert.match(rig.notComparable['public.tres']!, /lost a column/);
    assert.deepEqual(Object.keys(rig.notComparable).length, 3);
  });

  test('says so where the replica lacks a table, or a key has another type', async () => {
    const rig = await rigged();
    await rig.sync.client.query(`DROP TABLE c.uno; DELETE FROM c_sync.replica_table WHERE table_name = 'uno'`);
    await rig.siirays.query(`ALTER TABLE cuatro ALTER id TYPE text`);
    await rig.scan();
    assert.match(rig.notComparable['public.uno']!, /the replica of c has no table public\.uno yet/);
    assert.match(rig.notComparable['public.cuatro']!, /key of public\.cuatro has another type/);
  });

  test('a candidate whose table cannot be compared any more is neither equal nor settled', async () => {
    const rig = await rigged();
    await rig.sync.client.query('UPDATE c.cuatro SET v = NULL WHERE id = 7');
    const { candidates } = await rig.scan();
    await rig.siirays.query('DROP TABLE cuatro');
    const comparison = rig.comparison();
    const first = await comparison.look(candidates);
    const second = await comparison.look(first);
    assert.deepEqual(keysOf(second), ['cuatro:7']);
    assert.notEqual(first[0]!.pair, second[0]!.pair);
    assert.ok(rig.notComparable['public.cuatro']);
  });

  test('nor is one whose table has another key by now, by which it would not be there', async () => {
    const siirays = await testDatabase();
    const ddl =
      'CREATE TABLE clave (a integer PRIMARY KEY, b integer NOT NULL); INSERT INTO clave VALUES (1, 11), (2, 12)';
    const rig = await RowsRig.create(siirays.url, (await testDatabase()).url, ddl);
    await rig.copyAll();
    await rig.sync.client.query('UPDATE c.clave SET b = 0 WHERE a = 1');
    const { candidates } = await rig.scan();
    assert.deepEqual(keysOf(candidates), ['clave:1']);
    const key = 'DROP CONSTRAINT clave_pkey, ADD PRIMARY KEY (b)';
    await rig.siirays.query(`ALTER TABLE clave ${key}`);
    await rig.sync.client.query(`ALTER TABLE c.clave ${key};
      UPDATE c_sync.replica_table SET fingerprint = 'otra', shape = jsonb_set(shape, '{key}', '[1]')`);
    assert.deepEqual(keysOf(await rig.look(candidates)), ['clave:1']);
    assert.match(rig.notComparable['public.clave']!, /public\.clave has another key now/);
    delete rig.notComparable['public.clave'];
    assert.equal((await rig.comparison().describe(candidates)).size, 0);
    assert.match(rig.notComparable['public.clave']!, /has another key now/, 'what was confirmed is not just dropped');
  });

  test('begins a table again where its shape in the replica changes under way', async () => {
    const rig = await rigged();
    let changed = false;
    const found: string[] = [];
    for await (const range of rig.comparison({ tables: ['public.uno'] }).scan(null, new AbortController().signal)) {
      found.push(...keysOf(range.candidates));
      if (changed) continue;
      changed = true;
      await rig.siirays.query(`ALTER TABLE uno ADD COLUMN w text DEFAULT 'nuevo'`);
      await rig.sync.client.query(
        `ALTER TABLE c.uno ADD COLUMN w text DEFAULT 'nuevo'; UPDATE c.uno SET w = NULL WHERE id = 1`,
      );
      await rig.sync.client.query(
        `UPDATE c_sync.replica_table SET fingerprint = 'otra',
           shape = jsonb_set(shape, '{columns}', shape->'columns' || '[{"name":"w","type":"text"}]') WHERE table_name = 'uno'`,
      );
    }
    assert.deepEqual(found, ['uno:1']);
    assert.deepEqual(rig.notComparable, {});
  });

  test('a replica that is swapped while it waits for its lock does not look empty', async () => {
    const rig = await rigged();
    const { client } = rig.sync;
    await client.query(`UPDATE c.uno SET v = '' WHERE id IN (3, 4)`);
    const { candidates } = await rig.scan();
    await client.query(`BEGIN; CREATE TABLE c_staging.uno AS SELECT id, CASE id WHEN 3 THEN v ELSE id::text END AS v FROM c.uno;
      ALTER TABLE c_staging.uno ADD PRIMARY KEY (id); DROP TABLE c.uno; ALTER TABLE c_staging.uno SET SCHEMA c`);
    const looking = rig.comparison().look(candidates);
    const waiting = `SELECT FROM pg_locks WHERE NOT granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
    await until(async () => (await client.query(waiting)).rows.length > 0, 'the comparison to wait for the lock');
    await client.query('COMMIT');
    assert.deepEqual(keysOf(await looking), ['uno:3']);
    assert.deepEqual(rig.notComparable, {});
  });

  test('reads each range by the index of the key, also where its columns stand in another order', async () => {
    const siirays = await testDatabase();
    const rig = await RowsRig.create(
      siirays.url,
      (await testDatabase()).url,
      `CREATE TABLE grande (a integer, b integer, v text, PRIMARY KEY (b, a));
       INSERT INTO grande SELECT g % 100, g, g FROM generate_series(1, 20000) g; ANALYZE`,
    );
    await rig.copyAll();
    await rig.scan({ minRangeRows: 500, maxRangeRows: 500 });
    const client = await connect({ connectionString: siirays.url });
    // Statistics are written when a session ends or is idle.
    await client.query('SELECT pg_stat_force_next_flush()');
    const { rows } = await client.query<{ seq: string }>(
      `SELECT seq_tup_read AS seq FROM pg_stat_user_tables WHERE relname = 'grande'`,
    );
    await disconnect(client);
    assert.ok(Number(rows[0]!.seq) < 10 * 20_000, `${rows[0]!.seq} rows read one after the other`);
  });
});
