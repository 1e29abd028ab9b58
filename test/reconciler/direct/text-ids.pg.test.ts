import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compileConnector } from '../../../src/connector/compile.ts';
import { readConnector } from '../../../src/connector/load.ts';
import { testDatabase } from '../../support/postgres.ts';
import { type DirectRig, directRig, keys, otherDatabase, scanned } from './direct-rig.ts';

// One server for all tests of this file.
await testDatabase();

describe('documents with text ids', () => {
  const SCHEMA = `CREATE TABLE ficha (codigo varchar(20) PRIMARY KEY, nombre text, extra json);
    CREATE TABLE ficha_nota (id integer PRIMARY KEY, codigo varchar(20), nota text)`;
  const YAML = `description: fichas
source: { kind: postgres, schema: public }
target: { path: /fichas, tag: sync, adapter: changes }
root: { table: ficha, id: codigo, id_type: text }
sections:
  general: { shape: object, rows: ficha, key: codigo, fields: { nombre: , extra: { type: json } } }
  notas: { shape: list, rows: ficha_nota, key: id, fields: { nota: } }
`;
  const IDS = ['a', 'B', 'b', 'Z', 'ñ', 'Ñ', 'é', '10', '9', 'a b', "o'x", '"q"', 'ÿ', '\\', '{x}', 'a,b'];

  async function fichas(siiraysUrl: string): Promise<DirectRig> {
    return directRig({
      siiraysUrl,
      schema: SCHEMA,
      connector: (siirays) => {
        const { definition, mistakes } = readConnector('fichas.yaml', YAML, siirays.catalog);
        assert.deepEqual(mistakes, []);
        return compileConnector(definition!);
      },
      fill: async ({ client }) => {
        await client.query(`INSERT INTO ficha SELECT id, 'n ' || id FROM unnest($1::text[]) AS id`, [IDS]);
        await client.query(`INSERT INTO ficha SELECT 'id ' || n, 'número ' || n FROM generate_series(1, 1200) AS n`);
        await client.query('INSERT INTO ficha_nota SELECT row_number() OVER (), codigo, nombre FROM ficha');
      },
    });
  }

  for (const options of [
    `ENCODING 'LATIN1' LOCALE 'C'`,
    `ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'es'`,
  ]) {
    test(`that no field shows are asked for one by one (${options})`, async () => {
      const rig = await fichas(await otherDatabase(options));
      const { candidates, proven } = await scanned(rig.comparison());
      assert.deepEqual(candidates, []);
      assert.equal(new Set(proven).size, IDS.length + 1_200);
      await rig.stored.query(`DELETE FROM document WHERE id IN ('ñ', 'id 700')`);
      await rig.stored.query(`UPDATE document SET document = '{}' WHERE id IN ('a,b', 'id 1')`);
      const comparison = rig.comparison();
      const found = await scanned(comparison);
      assert.deepEqual(keys(found.candidates), ['a,b', 'id 1', 'id 700', 'ñ']);
      assert.deepEqual(keys(await comparison.look(found.candidates)), keys(found.candidates));
      assert.deepEqual(keys((await scanned(rig.comparison({ ids: ['ñ', 'Ñ', 'Ω'] }))).candidates), ['ñ']);
    });
  }

  test('that hold JSON which jsonb cannot hold are told from the others, which stay proven equal', async () => {
    const rig = await fichas((await testDatabase()).url);
    await rig.siirays.client.query(`UPDATE ficha SET extra = '{"a": "\\u0000"}' WHERE codigo = 'Z'`);
    const comparison = rig.comparison();
    const { candidates } = await scanned(comparison);
    assert.ok(keys(candidates).includes('Z'));
    assert.equal(rig.warnings.length, 1);
    const left = await comparison.look(candidates);
    assert.deepEqual(keys(left), ['Z']);
    assert.equal((await comparison.describe(left)).get('Z')!.path, 'general.extra');
  });
});
