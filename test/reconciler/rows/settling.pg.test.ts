import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { loadConnectors } from '../../../src/connector/load.ts';
import { siiraysSchema } from '../../connector/siirays-database.ts';
import { testDatabase } from '../../support/postgres.ts';
import { keysOf, RowsRig } from './rows-rig.ts';

const FILL = `
  TRUNCATE epsa, ubicacion, localidad, representante, tipo_contacto, sin_clave;
  INSERT INTO epsa (id_epsa, nombre_epsa) SELECT g, 'EPSA ' || g FROM generate_series(1, 150) g;
  INSERT INTO localidad (id_localidad, localidad) VALUES (1, 'Sucre'), (2, 'Potosí');
  INSERT INTO ubicacion SELECT g, 1 + g % 2 FROM generate_series(1, 8) g;
  INSERT INTO tipo_contacto VALUES (1, 'Gerente'), (2, 'Presidente');
  INSERT INTO representante (id_representante, id_epsa, nombre_representante, id_tipo_contacto) SELECT g, g, 'R ' || g, 1 FROM generate_series(1, 150) g;
  INSERT INTO sin_clave VALUES (1, 'x'), (1, 'x'), (2, NULL);`;

describe('looking again, describing, repairing', async () => {
  const siirays = await testDatabase();
  const sync = await testDatabase();
  const rig = await RowsRig.create(
    siirays.url,
    sync.url,
    `${siiraysSchema()}; CREATE TABLE sin_clave (id_epsa integer, v text)`,
    (catalog) => {
      const epsa = loadConnectors('connectors', catalog).find(({ name }) => name === 'epsa')!;
      const table = { schema: 'public', table: 'sin_clave', columns: ['id_epsa', 'v'] };
      return { ...epsa, tables: [...epsa.tables, table] };
    },
  );
  const replica = (sql: string) => rig.sync.client.query(sql);

  beforeEach(async () => {
    await rig.siirays.query(FILL);
    await rig.copyAll();
    rig.signals.length = 0;
  });

  test('a candidate whose row is equal by now is left out, the others come with the pair as it is now', async () => {
    await replica(`UPDATE epsa.epsa SET nombre_epsa = 'x' WHERE id_epsa IN (1, 2, 3, 4)`);
    await replica(`UPDATE epsa.sin_clave SET _count = 3 WHERE v = 'x'`);
    const { candidates } = await rig.scan();
    const comparison = rig.comparison();
    assert.deepEqual(byKey(await comparison.look(candidates)), byKey(candidates));
    await replica(`UPDATE epsa.epsa SET nombre_epsa = 'EPSA 1' WHERE id_epsa = 1`);
    await replica(`DELETE FROM epsa.epsa WHERE id_epsa = 2`);
    await rig.siirays.query(`DELETE FROM epsa WHERE id_epsa IN (2, 3)`);
    await replica(`UPDATE epsa.sin_clave SET _count = 4 WHERE v = 'x'`);
    const again = await comparison.look(candidates);
    assert.deepEqual(keysOf(again), ['epsa:3', 'epsa:4', 'sin_clave:#']);
    const pairs = new Map(candidates.map(({ key, pair }) => [key, pair]));
    const same = again.filter(({ key, pair }) => pairs.get(key) === pair);
    assert.deepEqual(keysOf(same), ['epsa:4']);
  });

  test('a value that changes from A to B and back to A gives another pair', async () => {
    await replica(`UPDATE epsa.epsa SET nombre_epsa = 'B' WHERE id_epsa = 1`);
    await replica(`INSERT INTO epsa.epsa (id_epsa) VALUES (999)`);
    await replica(`UPDATE epsa.sin_clave SET _count = 1 WHERE v = 'x'`);
    const { candidates: first } = await rig.scan();
    await rig.siirays.query(`UPDATE epsa SET nombre_epsa = 'B' WHERE id_epsa = 1`);
    await rig.siirays.query(`UPDATE epsa SET nombre_epsa = 'EPSA 1' WHERE id_epsa = 1`);
    await replica(`DELETE FROM epsa.epsa WHERE id_epsa = 999`);
    await replica(`INSERT INTO epsa.epsa (id_epsa) VALUES (999)`);
    await rig.siirays.query(
      `WITH one AS (DELETE FROM sin_clave WHERE ctid = (SELECT min(ctid) FROM sin_clave WHERE v = 'x')) SELECT`,
    );
    await rig.siirays.query(`INSERT INTO sin_clave VALUES (1, 'x')`);
    const second = await rig.comparison().look(first);
    assert.deepEqual(keysOf(second), ['epsa:1', 'epsa:999', 'sin_clave:#']);
    for (const { key, pair } of second) assert.notEqual(pair, first.find((one) => one.key === key)!.pair, key);
  });

  test('a difference is described by its first column, with the documents that show the row', async () => {
    await replica(`UPDATE epsa.epsa SET nombre_epsa = 'otra', observacion = '' WHERE id_epsa = 1`);
    await replica(`UPDATE epsa.representante SET id_epsa = 7, cargo = '' WHERE id_representante = 3`);
    await replica(`DELETE FROM epsa.ubicacion WHERE id_epsa = 2`);
    await replica(`INSERT INTO epsa.ubicacion VALUES (5, 99)`);
    await replica(`UPDATE epsa.localidad SET localidad = NULL WHERE id_localidad = 2`);
    await replica(`UPDATE epsa.tipo_contacto SET tipo_contacto = 'gerente' WHERE id_tipo_contacto = 1`);
    await replica(`UPDATE epsa.sin_clave SET _count = 3 WHERE v = 'x'`);
    await replica(`DELETE FROM epsa.sin_clave WHERE v IS NULL`);
    const { candidates } = await rig.scan();
    const described = await rig.comparison().describe(candidates);
    const told = [...described.values()].map(({ table, key, path, expected, actual, documents, ...rest }) => {
      assert.deepEqual(rest, { kind: 'row', wrong: 'replica', since: null });
      return [table, key, path, expected, actual, documents.length > 10 ? documents.length : [...documents].sort()];
    });
    assert.deepEqual(
      new Set(told.map((one) => JSON.stringify(one))),
      new Set(
        [
          ['public.epsa', { id_epsa: '1' }, 'nombre_epsa', 'EPSA 1', 'otra', ['1']],
          ['public.representante', { id_representante: '3' }, 'id_epsa', '3', '7', ['3', '7']],
          [
            'public.ubicacion',
            { id_epsa: '2', id_localidad: '1' },
            null,
            '{"id_epsa":"2","id_localidad":"1"}',
            null,
            ['2'],
          ],
          [
            'public.ubicacion',
            { id_epsa: '5', id_localidad: '99' },
            null,
            null,
            '{"id_epsa":"5","id_localidad":"99"}',
            ['5'],
          ],
          ['public.localidad', { id_localidad: '2' }, 'localidad', 'Potosí', null, ['1', '3', '5', '7']],
          ['public.tipo_contacto', { id_tipo_contacto: '1' }, 'tipo_contacto', 'Gerente', 'gerente', 100],
          ['public.sin_clave', null, null, '2 times {"id_epsa":"1","v":"x"}', '3 times {"id_epsa":"1","v":"x"}', []],
          ['public.sin_clave', null, null, '{"id_epsa":"2","v":null}', null, []],
        ].map((one) => JSON.stringify(one)),
      ),
    );
    await rig.copyAll();
    assert.equal((await rig.comparison().describe(candidates)).size, 0);
  });

  test('long values are cut, and told apart where they differ further on', async () => {
    await rig.siirays.query(`UPDATE epsa SET observacion = repeat('é', 5000) || 'a' WHERE id_epsa IN (1, 2)`);
    await rig.copy('epsa');
    await replica(`UPDATE epsa.epsa SET observacion = repeat('é', 5000) || 'b' WHERE id_epsa = 1`);
    await replica(`DELETE FROM epsa.epsa WHERE id_epsa = 2`);
    const { candidates } = await rig.scan({ tables: ['public.epsa'] });
    const [edited, missing] = [...(await rig.comparison().describe(candidates)).values()];
    assert.equal(edited!.path, 'observacion');
    assert.notEqual(edited!.expected, edited!.actual);
    assert.match(edited!.expected!, /^é{900}\.\.\. \(5001 characters, sha256 [0-9a-f]{16}\)$/);
    assert.ok(missing!.expected!.length <= 1_000);
  });

  test('repair asks for the rows by table, 500 keys at a time; for a table without a key once', async () => {
    await replica(`DELETE FROM epsa.epsa; DELETE FROM epsa.ubicacion; DELETE FROM epsa.sin_clave`);
    await rig.siirays.query(`INSERT INTO epsa (id_epsa) SELECT g FROM generate_series(1001, 2000) g`);
    const { candidates } = await rig.scan({ maxRangeRows: 5_000 });
    assert.equal((await rig.comparison().repair(candidates)).size, 0);
    const asked = rig.signals.map(({ table, keys }) => `${table.schema}.${table.table} ${keys.length}`);
    assert.deepEqual(asked.sort(), [
      'public.epsa 150',
      'public.epsa 500',
      'public.epsa 500',
      'public.sin_clave 1',
      'public.ubicacion 8',
    ]);
    assert.deepEqual(rig.signals.find(({ table }) => table.table === 'sin_clave')!.keys, [['']]);
    const keys = rig.signals.filter(({ table }) => table.table === 'epsa').flatMap(({ keys }) => keys);
    assert.equal(new Set(keys.map(([id]) => id)).size, 1_150);
  });
});

function byKey(candidates: readonly { key: string; pair: string }[]): [string, string][] {
  return candidates.map(({ key, pair }): [string, string] => [key, pair]).sort();
}
