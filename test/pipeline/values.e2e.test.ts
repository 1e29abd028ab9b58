/** Every type of PostgreSQL arrives equal in topic, replica and document, by every way, whatever SIIRAyS's settings are. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { ReconcilerClient } from '../reconciler/reconciler-client.ts';
import { ValuePipeline } from '../support/value-pipeline.ts';
import { OWN_TYPES, SAMPLES, WITHOUT_VALUES } from '../support/value-samples.ts';
import { makeValueTables } from '../support/value-tables.ts';

const values = await ValuePipeline.prepare();
const { siirays, sync } = values;

describe('values of every type', { timeout: 280_000 }, () => {
  before(async () => {
    await values.makeHostile();
    await values.asSuperuser(async (client) => {
      await client.query(OWN_TYPES);
    });
    const tables = await makeValueTables(siirays);
    await values.start(
      tables.map(({ name, key }) => ({
        ...{ schema: 'public', name, key, by: 'id_epsa', order: key[0] ?? 'id' },
        shown: name.startsWith('clave_') ? key : ['marca'],
      })),
    );
  });

  test('no type of the server is left out', async () => {
    const { rows } = await siirays.query<{ type: string }>(
      `SELECT format_type(t.oid, NULL) AS type FROM pg_type t
        WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b', 'r', 'm', 'd', 'e')
          AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)`,
    );
    const known = new Set([...Object.keys(SAMPLES), ...Object.keys(WITHOUT_VALUES)].map(withoutModifier));
    assert.deepEqual(
      rows.map(({ type }) => type).filter((type) => !known.has(type)),
      [],
    );
    for (const type of Object.keys(WITHOUT_VALUES)) {
      await assert.rejects(siirays.query(`SELECT 'x'::${type}`), { code: '0A000' }, type);
    }
  });

  test('the first load', async () => {
    await values.assertReplicaEqual('the first load');
    await values.assertTopicsEqual('the first load');
  });

  test('INSERT', async () => {
    await siirays.query('BEGIN');
    for (const table of WITH_ID) {
      const columns = await columnsOf(table);
      await siirays.query(`INSERT INTO ${table} (id, ${columns}) SELECT id + 1000, ${columns} FROM ${table}`);
    }
    await siirays.query('INSERT INTO sin_clave SELECT * FROM sin_clave WHERE id < 7; COMMIT');
    await values.assertReplicaEqual('INSERT');
  });

  test('UPDATE: each row takes the values of the next one', async () => {
    await siirays.query('BEGIN');
    for (const table of ['valores', 'arreglos', 'sin_clave']) {
      const columns = await columnsOf(table);
      await siirays.query(`UPDATE ${table} AS t SET (${columns}) = (SELECT ${columns} FROM ${table} AS n
        WHERE n.id = CASE t.id WHEN 1 THEN (SELECT max(id) FROM ${table} WHERE id < 1000) ELSE t.id - 1 END LIMIT 1) WHERE t.id < 1000`);
    }
    await siirays.query('COMMIT');
    await values.assertReplicaEqual('UPDATE');
  });

  test('UPDATE beside values that PostgreSQL keeps out of line, and does not send again', async () => {
    await siirays.query(`UPDATE fuera_de_linea SET marca = 'dos'; UPDATE fuera_de_linea SET id = id + 50 WHERE id = 2`);
    await values.assertReplicaEqual('UPDATE beside values out of line');
    const said = (await values.assertTopicsEqual('UPDATE beside values out of line')).get('fuera_de_linea')!;
    const columns = (await columnsOf('fuera_de_linea')).split(', ').filter((name) => !OWN_COLUMNS.test(name));
    const unsent = columns.filter((name) => (said.unchanged[name.replaceAll('"', '')] ?? 0) === 0);
    assert.deepEqual(unsent, [], 'every one came as a placeholder at least once');
  });

  test('keys: other columns change, keys change, rows go and come', async () => {
    const keyTables = values.tables.filter(({ name }) => name.startsWith('clave_'));
    assert.ok(keyTables.flatMap(({ key }) => key).length > 80, 'most types have an order');
    await siirays.query('BEGIN');
    for (const { name } of keyTables) {
      await siirays.query(`UPDATE ${name} SET marca = 'dos';
        CREATE TEMP TABLE ida ON COMMIT DROP AS SELECT * FROM ${name} WHERE ctid IN (SELECT ctid FROM ${name} LIMIT 2);
        DELETE FROM ${name} WHERE ctid IN (SELECT ctid FROM ${name} LIMIT 4)`);
      await siirays.query(`INSERT INTO ${name} SELECT * FROM ida; DROP TABLE ida`);
    }
    await siirays.query('COMMIT');
    await values.assertReplicaEqual('keys');
  });

  test('DELETE', async () => {
    await siirays.query(`BEGIN; DELETE FROM valores WHERE id > 1000 AND id % 2 = 0; DELETE FROM arreglos WHERE id = 2;
      DELETE FROM fuera_de_linea WHERE id > 1001; DELETE FROM sin_clave WHERE id % 3 = 0; COMMIT`);
    await values.assertReplicaEqual('DELETE');
    await values.assertTopicsEqual('DELETE');
  });

  test('reconciliation finds no difference where there is none', async () => {
    const client = new ReconcilerClient(values.pipeline.stack.endpoints);
    for (const direct of [false, true]) {
      const run = await client.reconcile({ mode: 'verify', direct });
      assert.deepEqual([run.state, run.differences, run.notes], ['equal', [], []], `direct: ${direct}`);
    }
  });

  test('reconciliation finds a difference in each of some odd types, and repairs it', async () => {
    const client = new ReconcilerClient(values.pipeline.stack.endpoints);
    const planted = [
      `UPDATE epsa.valores SET "numeric" = "numeric" + 0.000 WHERE id = (SELECT min(id) FROM epsa.valores WHERE "numeric" = 0)`,
      `UPDATE epsa.valores SET "double precision" = 0 WHERE id = (SELECT min(id) FROM epsa.valores WHERE "double precision"::text = '-0')`,
      `UPDATE epsa.valores SET json = (json::text || ' ')::json WHERE id = 3`,
      `UPDATE epsa.valores SET interval = '1 mon' WHERE id = (SELECT min(id) FROM epsa.valores WHERE interval::text = '30 days')`,
      `UPDATE epsa.valores SET bpchar = 'a ' WHERE id = (SELECT min(id) FROM epsa.valores WHERE bpchar = 'a')`,
      `UPDATE epsa.arreglos SET "text[]" = '{}' WHERE id = (SELECT min(id) FROM epsa.arreglos WHERE "text[]"::text LIKE '[%')`,
      `UPDATE epsa.valores SET text = NULL WHERE id = (SELECT min(id) FROM epsa.valores WHERE text = '')`,
    ];
    for (const sql of planted) assert.equal((await sync.query(sql)).rowCount, 1, sql);
    const found = await client.reconcile({ mode: 'verify' });
    const rows = found.differences.filter(({ kind }) => kind.startsWith('row'));
    assert.equal(found.state, 'differences');
    const places = new Set(rows.map(({ table, key }) => JSON.stringify([table, key])));
    assert.ok(places.size >= 4, JSON.stringify(found.differences).slice(0, 2000));
    const repaired = await client.reconcile({ mode: 'repair' });
    assert.equal(repaired.state, 'repaired');
    await values.assertReplicaEqual('the repair');
  });
});

const WITH_ID = ['valores', 'arreglos', 'fuera_de_linea'];
const OWN_COLUMNS = /^"(id|id_epsa|marca)"$/;

/** Quoted columns but id. */
async function columnsOf(table: string): Promise<string> {
  const { rows } = await siirays.query<{ columns: string }>(
    `SELECT string_agg(format('"%s"', replace(attname, '"', '""')), ', ' ORDER BY attnum) AS columns FROM pg_attribute
      WHERE attrelid = $1::regclass AND attnum > 0 AND attname <> 'id'`,
    [table],
  );
  return rows[0]!.columns;
}

function withoutModifier(type: string): string {
  return type.replace(/\(-?\d+(,-?\d+)?\)/, '');
}
