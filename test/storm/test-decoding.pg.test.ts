import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { startupOptions, TEXT_VALUES, VALUE_SETTINGS } from '../../src/postgres/session.ts';
import { Mirror, sumOf } from '../../storm/witness/mirror.ts';
import { type Commit, readTables, Witness } from '../../storm/witness/witness.ts';
import { testDatabase } from '../support/postgres.ts';
import { until } from '../support/until.ts';

const database = await testDatabase({ wal_level: 'logical' });

test('the mirror follows every kind of change to SIIRAyS’s own rows', { timeout: 60_000 }, async () => {
  const settings = { types: TEXT_VALUES, options: startupOptions(VALUE_SETTINGS) };
  const client = new pg.Client({ connectionString: database.url, ...settings });
  await client.connect();
  await client.query(`
    CREATE TABLE epsa (id integer PRIMARY KEY, nombre text, monto numeric(12,2), f double precision, d date);
    CREATE TABLE sin_clave (a integer, b text); ALTER TABLE sin_clave REPLICA IDENTITY FULL;
    INSERT INTO epsa VALUES (1, 'uno', 1.50, 0.1, '2010-02-24'), (2, repeat('x', 9000), 'NaN', NULL, NULL);
    ALTER TABLE epsa ALTER nombre SET STORAGE EXTERNAL;
    UPDATE epsa SET nombre = md5(nombre) || repeat('y', 9000) WHERE id = 2;
    INSERT INTO sin_clave VALUES (1, 'a'), (1, 'a'), (NULL, NULL)`);
  const commits: Commit[] = [];
  const witness = await Witness.begin(database.url, (commit) => commits.push(commit));
  const mirror = new Mirror(witness.shapes, witness.start);

  await client.query(`BEGIN; INSERT INTO epsa VALUES (3, 'it''s a ''quote'': id[integer]:7 ', -0.01, 'Infinity', NULL);
    SAVEPOINT s; DELETE FROM epsa; ROLLBACK TO s; UPDATE epsa SET monto = 2 WHERE id = 2; COMMIT`);
  await client.query('UPDATE epsa SET id = 12 WHERE id = 2');
  await client.query(`UPDATE epsa SET nombre = E'zwei\\nlines', f = 1e-7 WHERE id = 1`);
  await client.query(`UPDATE sin_clave SET b = 'b' WHERE ctid = (SELECT min(ctid) FROM sin_clave)`);
  await client.query('DELETE FROM sin_clave WHERE a IS NULL');
  await client.query('BEGIN; DELETE FROM epsa; ROLLBACK');
  await Promise.race([witness.failure, until(() => commits.length === 5, 'five commits')]);
  for (const { changes } of commits) for (const change of changes) mirror.apply(change);
  const rows = await readTables(client, 'public', witness.shapes);
  for (const [table, ofTable] of Object.entries(rows)) assert.equal(mirror.sums()[table], sumOf(ofTable), table);
  assert.deepEqual(
    commits.map(({ events }) => events),
    [2, 1, 1, 1, 1],
  );

  await client.query('TRUNCATE epsa, sin_clave');
  await witness.end();
  for (const change of commits[5]!.changes) mirror.apply(change);
  assert.deepEqual(mirror.rows(), { epsa: [], sin_clave: [] });
  assert.equal(commits[5]!.events, 2);
  await client.end();
});
