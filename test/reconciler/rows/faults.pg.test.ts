import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { testDatabase } from '../../support/postgres.ts';
import { databaseLike, keysOf, RowsRig } from './rows-rig.ts';

const DDL = `
  CREATE TABLE entera (id integer PRIMARY KEY, v text, w integer);
  CREATE TABLE doble (v text, b integer, a text, n integer, PRIMARY KEY (a, b));
  CREATE TABLE texto (id varchar(20) PRIMARY KEY, v character(4));
  CREATE TABLE uuids (id uuid PRIMARY KEY, v text);
  CREATE TABLE bytes (id bytea PRIMARY KEY, v text);
  CREATE TABLE números (id numeric PRIMARY KEY, v text);
  CREATE TABLE sin_clave (a integer, b text)`;
const FILL = `
  TRUNCATE entera, doble, texto, uuids, bytes, números, sin_clave;
  INSERT INTO entera SELECT g * 10, 'valor ' || g, g % 3 FROM generate_series(1, 12) g;
  INSERT INTO doble SELECT 'x', g % 4, chr(96 + g), g FROM generate_series(1, 12) g;
  INSERT INTO texto SELECT w, left(w, 4) FROM unnest('{a,A,á,Á,b,B,ñ,n,N,Ñandú,z,Z,-b,_c,é e,10,9}'::text[]) w;
  INSERT INTO uuids SELECT md5(g::text)::uuid, g FROM generate_series(1, 9) g;
  INSERT INTO bytes SELECT decode(lpad(to_hex(g * 50), 6, '0'), 'hex'), g FROM generate_series(1, 9) g;
  INSERT INTO números SELECT g::numeric, g FROM generate_series(1, 9) g;
  INSERT INTO sin_clave SELECT g % 4, nullif('x' || g % 3, 'x0') FROM generate_series(1, 24) g;`;

const SIDES: Record<string, [siirays: string, sync: string]> = {
  'C and C': [`ENCODING UTF8 LOCALE 'C'`, `ENCODING UTF8 LOCALE 'C'`],
  'ICU and C.utf8': [
    `ENCODING UTF8 LOCALE_PROVIDER icu ICU_LOCALE 'es-BO' LOCALE 'C'`,
    `ENCODING UTF8 LOCALE 'C.utf8'`,
  ],
  'LATIN1 and ICU': [`ENCODING LATIN1 LOCALE 'C'`, `ENCODING UTF8 LOCALE_PROVIDER icu ICU_LOCALE 'es-BO' LOCALE 'C'`],
};

for (const [name, [siiraysClauses, syncClauses]] of Object.entries(SIDES)) {
  const siirays = await databaseLike(name, siiraysClauses);
  const sync = await databaseLike(name, syncClauses);

  describe(`faults, SIIRAyS and sync in ${name}`, async () => {
    const rig = await RowsRig.create(siirays.url, sync.url, DDL);

    beforeEach(async () => {
      await rig.siirays.query(FILL);
      await rig.copyAll();
    });

    const ranges = [
      [2, 2],
      [2, 5],
      [1_000, 20_000],
    ] as const;

    /** Makes a fault in the replica; it is found with ranges of any size. */
    async function finds(fault: string, ...expected: string[]): Promise<void> {
      await rig.sync.client.query(fault);
      const tables = expected.map((key) => `public.${key.slice(0, key.indexOf(':'))}`);
      for (const [minRangeRows, maxRangeRows] of ranges) {
        const { candidates } = await rig.scan({ tables, minRangeRows, maxRangeRows });
        assert.deepEqual(keysOf(candidates), expected.sort(), `${fault} with ranges up to ${maxRangeRows}`);
        if (maxRangeRows === 5)
          assert.deepEqual(keysOf(await rig.look(candidates)), expected, `${fault}, looked at again`);
      }
      assert.deepEqual(rig.notComparable, {});
    }

    // Integers have one order everywhere.
    if (name === 'C and C') {
      test('a row edited, gone or added is found at every place of a table', async () => {
        for (let id = 10; id <= 120; id += 10) {
          await finds(`UPDATE c.entera SET w = 9 WHERE id = ${id}`, `entera:${id}`);
          await rig.copy('entera');
          await finds(`DELETE FROM c.entera WHERE id = ${id}`, `entera:${id}`);
          await rig.copy('entera');
        }
        for (const id of [-5, 5, 15, 55, 119, 121, 2_000_000]) {
          await finds(`INSERT INTO c.entera (id) VALUES (${id})`, `entera:${id}`);
          await rig.copy('entera');
        }
      });
    }

    test('values that look alike are told apart', async () => {
      for (const [from, to] of [
        [`''`, 'NULL'],
        ['NULL', `''`],
        [`'a'`, `'a '`],
        [`'a'`, `'A'`],
        [`'NULL'`, 'NULL'],
        [`'ñ'`, `'n'`],
        [`E'\\\\'`, `E'\\\\\\\\'`],
        [`''''`, `''''''`],
      ]) {
        await rig.siirays.query(`UPDATE entera SET v = ${from} WHERE id = 50`);
        await rig.copy('entera');
        await finds(`UPDATE c.entera SET v = ${to} WHERE id = 50`, 'entera:50');
      }
    });

    test('values that have gone to the next column are told apart', async () => {
      await rig.siirays.query(`UPDATE doble SET v = 'x,y' WHERE a = 'a'`);
      await rig.copy('doble');
      await finds(`UPDATE c.doble SET v = 'x', n = NULL WHERE a = 'a'`, 'doble:1,a');
    });

    test('two rows that have changed places are two differences', async () => {
      await finds(
        `UPDATE c.entera SET v = CASE id WHEN 10 THEN 'valor 2' ELSE 'valor 1' END, w = CASE id WHEN 10 THEN 2 ELSE 1 END
        WHERE id IN (10, 20)`,
        'entera:10',
        'entera:20',
      );
    });

    test('text keys', async () => {
      for (const key of ['a', 'A', 'á', 'Á', 'ñ', 'Ñandú', '-b', '_c', 'é e', '10', 'z']) {
        await finds(`DELETE FROM c.texto WHERE id = '${key}'`, `texto:${key}`);
        await rig.copy('texto');
        await finds(`UPDATE c.texto SET v = '' WHERE id = '${key}'`, `texto:${key}`);
        await rig.copy('texto');
      }
      for (const key of ['', ' ', 'a ', 'ZZZ', 'zz', '€', '日本', '🚰']) {
        await finds(`INSERT INTO c.texto VALUES ('${key}', 'x')`, `texto:${key}`);
        await rig.copy('texto');
      }
    });

    test('composite keys', async () => {
      await finds(`DELETE FROM c.doble WHERE a = 'c'`, 'doble:3,c');
      await rig.copy('doble');
      await finds(`UPDATE c.doble SET n = 0 WHERE a = 'a'`, 'doble:1,a');
      await rig.copy('doble');
      await finds(`UPDATE c.doble SET b = 7 WHERE a = 'l'`, 'doble:0,l', 'doble:7,l');
    });

    test('keys of uuid, bytea and numeric', async () => {
      await finds(`DELETE FROM c.uuids WHERE v = '5'`, 'uuids:e4da3b7f-bbce-2345-d777-2b0674a318d5');
      await rig.copy('uuids');
      await finds(`INSERT INTO c.bytes VALUES ('\\x', ''), ('\\xffffffff00', '')`, 'bytes:\\x', 'bytes:\\xffffffff00');
      await rig.copy('bytes');
      // One key, though not one text.
      await finds(`UPDATE c.números SET id = 3.00 WHERE id = 3`, 'números:3');
      await rig.copy('números');
      await finds(`INSERT INTO c.números VALUES ('NaN', ''), (-0.50, '')`, 'números:-0.5', 'números:NaN');
    });

    test('tables without a key, duplicates included', async () => {
      const { relation, counted } = rig.replica('sin_clave');
      const count = `"${counted!.count}"`;
      await finds(`UPDATE ${relation} SET ${count} = ${count} + 1 WHERE a = 1 AND b = 'x1'`, 'sin_clave:#');
      await rig.copy('sin_clave');
      await finds(`DELETE FROM ${relation} WHERE a = 2 AND b IS NULL`, 'sin_clave:#');
      await rig.copy('sin_clave');
      await finds(`UPDATE ${relation} SET b = '' WHERE a = 2 AND b IS NULL`, 'sin_clave:#', 'sin_clave:#');
      await rig.copy('sin_clave');
      await finds(`INSERT INTO ${relation} VALUES ('\\x00', 3, 5, 'y')`, 'sin_clave:#');
      await rig.siirays.query('TRUNCATE sin_clave');
      await finds(`SELECT`, ...Array.from({ length: 13 }, () => 'sin_clave:#'));
    });

    test('rows of the replica where SIIRAyS has none at all, and the other way round', async () => {
      await rig.siirays.query('TRUNCATE entera, texto');
      const texto = (await rig.sync.client.query<{ id: string }>('SELECT id FROM c.texto')).rows;
      const surplus = [
        ...Array.from({ length: 12 }, (_, i) => `entera:${10 * (i + 1)}`),
        ...texto.map(({ id }) => `texto:${id}`),
      ];
      await finds('SELECT', ...surplus);
      await rig.siirays.query(FILL);
      await finds('DELETE FROM c.entera; DELETE FROM c.texto', ...surplus);
    });
  });
}

test('many surplus rows are found in parts, wherever they lie', async () => {
  const rig = await RowsRig.create((await testDatabase()).url, (await testDatabase()).url, DDL);
  await rig.siirays.query('INSERT INTO entera SELECT g FROM generate_series(1, 10) g');
  await rig.copyAll();
  await rig.sync.client.query(`
    INSERT INTO c.entera SELECT g FROM generate_series(-3000, 0) g;
    INSERT INTO c.entera SELECT g FROM generate_series(11, 4000) g;
    INSERT INTO c.texto SELECT g FROM generate_series(1, 500) g`);
  const parts: number[] = [];
  const keys = new Set<string>();
  const ranges = rig.comparison({ minRangeRows: 100, maxRangeRows: 100 }).scan(null, new AbortController().signal);
  for await (const { candidates } of ranges) {
    parts.push(candidates.length);
    for (const { key } of candidates) keys.add(key);
  }
  assert.equal(keys.size, 3_001 + 3_990 + 500);
  assert.ok(Math.max(...parts) <= 1_000, `up to ${Math.max(...parts)} candidates a range`);
});
