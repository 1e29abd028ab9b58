/** What of SIIRAyS's catalogue begins another era of a table, and what does not. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type pg from 'pg';
import { connect, disconnect, TEXT_VALUES } from '../../src/postgres/session.ts';
import { type CatalogTable, readCatalog, shapeOfCatalog } from '../../src/producer/table-catalog.ts';
import { TableEras } from '../../src/producer/table-eras.ts';
import { testDatabase } from '../support/postgres.ts';

const database = await testDatabase();

const SCHEMA = `
  CREATE TABLE t (id integer PRIMARY KEY, v text, n integer);
  CREATE TABLE partida (id integer PRIMARY KEY) PARTITION BY RANGE (id);
  CREATE TABLE uno PARTITION OF partida FOR VALUES FROM (0) TO (10);
  CREATE TABLE dos (LIKE partida INCLUDING ALL);
  INSERT INTO t SELECT g, 'x', g FROM generate_series(1, 10) g;
  CREATE PUBLICATION p FOR TABLE t, partida WITH (publish_via_partition_root = true)`;

/** [table, SQL, whether its rows may have changed without events] */
const CHANGES: [table: string, sql: string, turns: boolean][] = [
  ['t', `UPDATE t SET v = 'y'; TRUNCATE t; INSERT INTO t VALUES (1, 'a', 1)`, false],
  ['t', 'VACUUM FULL t', false],
  ['t', 'CLUSTER t USING t_pkey', false],
  ['t', 'ANALYZE t', false],
  ['t', 'CREATE INDEX ON t (v)', false],
  ['t', `ALTER TABLE t ALTER COLUMN v SET DEFAULT 'z'`, false],
  ['t', 'ALTER TABLE t ALTER COLUMN n SET NOT NULL', false],
  ['t', 'ALTER TABLE t REPLICA IDENTITY FULL', false],
  ['t', 'ALTER TABLE t ADD COLUMN doble integer GENERATED ALWAYS AS (n * 2) STORED', false],
  ['t', 'ALTER TABLE t DROP COLUMN doble', false],
  ['t', 'CREATE TABLE otra (id integer PRIMARY KEY); ALTER PUBLICATION p ADD TABLE otra', false],
  ['t', `ALTER TABLE t ADD COLUMN w text DEFAULT 'w'`, true],
  ['t', `ALTER TABLE t DROP COLUMN w, ADD COLUMN w text DEFAULT 'v'`, true],
  ['t', 'ALTER TABLE t RENAME COLUMN w TO x', true],
  ['t', 'ALTER TABLE t ALTER COLUMN v TYPE text USING upper(v)', true],
  ['t', 'ALTER TABLE t ALTER COLUMN n TYPE integer USING n + 1', true],
  ['t', 'ALTER TABLE t ALTER COLUMN v TYPE varchar(9)', true],
  ['t', 'ALTER PUBLICATION p DROP TABLE t; ALTER PUBLICATION p ADD TABLE t', true],
  ['t', 'DROP TABLE t; CREATE TABLE t (id integer PRIMARY KEY); ALTER PUBLICATION p ADD TABLE t', true],
  [
    't',
    `ALTER PUBLICATION p SET (publish = 'insert'); ALTER PUBLICATION p SET (publish = 'insert, update, delete, truncate')`,
    true,
  ],
  ['partida', 'ALTER TABLE partida ATTACH PARTITION dos FOR VALUES FROM (10) TO (20)', true],
  ['partida', 'ALTER TABLE partida DETACH PARTITION dos', true],
];

describe('eras of tables', () => {
  let client: pg.Client;
  before(async () => {
    client = await connect({ connectionString: database.url, types: TEXT_VALUES });
    await client.query(SCHEMA);
  });
  after(() => disconnect(client));

  const look = async (table: string): Promise<CatalogTable | undefined> =>
    (await readCatalog(client, 'p', { schema: 'public', table }))[0];

  for (const [name, sql, turns] of CHANGES) {
    test(`${turns ? 'end with' : 'outlast'} ${sql}`, async () => {
      const eras = new TableEras();
      eras.note((await look(name))!);
      const was = shapeOfCatalog((await look(name))!, eras.of(`public.${name}`)).fingerprint;
      for (const one of sql.startsWith('VACUUM') ? [sql] : sql.split('; ')) await client.query(one);
      const table = (await look(name))!;
      assert.equal(eras.isSame(table), !turns);
      eras.note(table);
      assert.equal(eras.of(`public.${name}`), turns ? 1 : 0);
      const is = shapeOfCatalog(table, eras.of(`public.${name}`)).fingerprint;
      if (turns) assert.notEqual(is, was);
      eras.note(table);
      assert.equal(eras.of(`public.${name}`), turns ? 1 : 0, 'noted once');
      // A later run knows what this one has noted.
      const later = new TableEras();
      later.restore(eras.noted);
      assert.ok(later.isSame(table));
    });
  }

  test('end where a table is published no more, however it comes back', async () => {
    const eras = new TableEras();
    const table = (await look('t'))!;
    eras.note(table);
    assert.deepEqual(eras.gone([]), ['public.t']);
    eras.noteGone('public.t');
    assert.deepEqual(eras.gone([]), [], 'told once');
    assert.equal(eras.isSame(table), false);
    eras.note(table);
    assert.equal(eras.of('public.t'), 1);
  });
});
