/** What epsa.yaml does not use, and what random EPSA rows do not reach, on a small database of another kind. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { compileConnector } from '../../src/connector/compile.ts';
import type { CompiledConnector } from '../../src/connector/compiled.ts';
import { readConnector } from '../../src/connector/load.ts';
import { testDatabase } from '../support/postgres.ts';
import { SiiraysDatabase } from './siirays-database.ts';

const MANY = Array.from({ length: 205 }, (_, index) => `c${index}`);

const SCHEMA = `
CREATE TABLE pais (id_pais integer PRIMARY KEY, nombre text);
CREATE TABLE ciudad (id_ciudad integer PRIMARY KEY, id_pais integer, nombre text);
CREATE TABLE "Perro Grande" ("Chip" varchar(12) PRIMARY KEY, corto character(4), nacido timestamp, vivo boolean, datos json,
  peso integer, id_ciudad integer, id_origen integer);
CREATE TABLE visita (chip varchar(12), codigo text COLLATE "es-x-icu" PRIMARY KEY, motivo text);
CREATE TABLE dosis (codigo text, numero integer, fecha date, PRIMARY KEY (codigo, numero));
CREATE TABLE apodo (chip varchar(12), orden integer, apodo text);
CREATE TABLE ancho (chip varchar(12) PRIMARY KEY, ${MANY.map((name) => `${name} integer`).join(', ')});
INSERT INTO pais VALUES (1, 'Bolivia'), (2, 'Perú');
INSERT INTO ciudad VALUES (1, 1, 'Oruro'), (2, 2, 'Puno'), (3, 9, 'Nada');
INSERT INTO "Perro Grande" VALUES
  ('a', 'x', '2020-01-02 03:04:05.678', false, '{"n": 1.50, "z": null}', 7, 1, 2),
  ('B', NULL, NULL, NULL, NULL, NULL, 3, NULL),
  ('o''x', 'wxyz', 'infinity', true, '[]', 0, NULL, 1);
INSERT INTO visita VALUES ('a', 'b', 'tos'), ('a', 'B', NULL), ('a', 'á', 'pata'), ('o''x', 'q', 'q');
INSERT INTO dosis VALUES ('b', 2, NULL), ('b', 1, '2020-02-02'), ('á', 1, NULL), ('q', 1, NULL);
INSERT INTO apodo VALUES ('a', 2, 'Zar'), ('a', 1, 'Rey'), ('a', 1, 'Rey'), ('a', NULL, 'Sol'), ('a', 1, NULL), ('a', 1, 'Az');
INSERT INTO ancho (chip, c0, c100, c204) VALUES ('a', 0, 100, 204), ('B', NULL, NULL, NULL);
`;

const YAML = `
source: {kind: postgres}
target: {path: /perros}
root:
  table: Perro Grande
  id: Chip
  id_type: text
  lookups:
    - ciudad
    - {table: pais, from: ciudad}
    - {table: ciudad, as: origen, by: {id_origen: id_ciudad}}
  fields:
    chip: {column: Chip, required: true}
    corto:
    nacido: {type: timestamp}
    vivo: {type: boolean}
    datos: {type: json}
    "peso en texto": peso
    ciudad: ciudad.nombre
    pais: {column: pais.nombre, required: true}
    origen: origen.nombre
sections:
  visitas:
    shape: list
    rows: visita
    by: {Chip: chip}
    key: codigo
    required: true
    fields: {codigo: , motivo: {required: true}}
    sections:
      dosis:
        shape: list
        rows: dosis
        key: [codigo, numero]
        fields: {numero: {type: integer}, fecha: {type: date, required: true}}
  apodos: {shape: list of text, rows: apodo, by: {Chip: chip}, key: orden, column: apodo}
  lista: {shape: list, rows: apodo, by: {Chip: chip}, key: orden, fields: {apodo: }}
  ultimo: {shape: text, rows: apodo, by: {Chip: chip}, key: orden, column: apodo}
  ancho:
    shape: object
    rows: ancho
    by: {Chip: chip}
    key: chip
    fields: {${MANY.map((name) => `${name}: {type: integer}`).join(', ')}}
`;

const database = await testDatabase();

describe('a connector of another kind', () => {
  let db: SiiraysDatabase;
  let perros: CompiledConnector;

  before(async () => {
    db = await SiiraysDatabase.create(database.url, SCHEMA);
    const { definition, mistakes } = readConnector('perros.yaml', YAML, db.catalog);
    assert.deepEqual(mistakes, []);
    perros = compileConnector(definition!);
    await db.createIndexes(perros);
  });
  after(() => db.close());

  async function body(id: string): Promise<Record<string, unknown>> {
    const [projected] = await db.project(perros, [id]);
    return JSON.parse(projected!.body!) as Record<string, unknown>;
  }

  test('shows root fields of every type, look-ups of look-ups, and one table looked up twice', async () => {
    const { visitas, apodos, lista, ultimo, ancho, ...own } = await body('a');
    assert.deepEqual(own, {
      chip: 'a',
      corto: 'x   ',
      nacido: '2020-01-02T03:04:05.678',
      vivo: false,
      datos: { n: 1.5, z: null },
      'peso en texto': '7',
      ciudad: 'Oruro',
      pais: 'Bolivia',
      origen: 'Puno',
    });
    const [projected] = await db.project(perros, ['a']);
    assert.match(projected!.body!, /"datos":\{"n": 1\.50, "z": null\}/, 'json keeps its digits');
  });

  test('orders text by its bytes, numbers by value, NULL last, and what is alike by the columns shown', async () => {
    const { visitas, apodos, lista, ultimo } = await body('a');
    assert.deepEqual(visitas, [
      { codigo: 'B' },
      { codigo: 'b', motivo: 'tos', dosis: [{ numero: 1, fecha: '2020-02-02' }, { numero: 2 }] },
      { codigo: 'á', motivo: 'pata', dosis: [{ numero: 1 }] },
    ]);
    assert.deepEqual(apodos, ['Az', 'Rey', 'Rey', 'Zar', 'Sol']);
    assert.deepEqual(lista, [
      ...['Az', 'Rey', 'Rey'].map((apodo) => ({ apodo })),
      {},
      { apodo: 'Zar' },
      { apodo: 'Sol' },
    ]);
    assert.equal(ultimo, 'Zar');
  });

  test('builds objects of more fields than a function of PostgreSQL takes arguments', async () => {
    assert.deepEqual((await body('a')).ancho, { c0: 0, c100: 100, c204: 204 });
    assert.deepEqual((await body('B')).ancho, {});
  });

  test('names what is missing by its path, and nothing of a root that is not there', async () => {
    const problems = Object.fromEntries(
      (await db.project(perros, ['a', 'B', "o'x", 'none'])).map((one) => [one.id, one.problems]),
    );
    assert.deepEqual(problems, {
      a: ['visitas[0].motivo', 'visitas[1].dosis[1].fecha', 'visitas[2].dosis[0].fecha'],
      B: ['pais', 'visitas'],
      "o'x": ['pais', 'visitas[0].dosis[0].fecha'],
      none: null,
    });
    const [none] = await db.project(perros, ['none']);
    assert.equal(none!.body, null);
  });

  test('takes relations that are subselects, such as rows kept with counts', async () => {
    const counted = (table: { schema: string; table: string }) => {
      const placed = db.placement(table);
      const relation = `(SELECT x.* FROM ${placed.relation} AS x, generate_series(1, 2))`;
      return table.table === 'apodo' ? { ...placed, relation } : placed;
    };
    const sql = perros.projection(counted, "(SELECT 'a' AS id)");
    const { rows } = await db.client.query<{ body: string }>(sql);
    assert.deepEqual(JSON.parse(rows[0]!.body).apodos, [
      'Az',
      'Az',
      'Rey',
      'Rey',
      'Rey',
      'Rey',
      'Zar',
      'Zar',
      'Sol',
      'Sol',
    ]);
  });

  describe('marks', () => {
    const affected = async (table: string, row: Record<string, string>) =>
      (await db.affected(perros, { schema: 'public', table }, [row])).sort();

    test('through look-ups of look-ups, whatever place the table has', async () => {
      assert.deepEqual(await affected('pais', { id_pais: '1' }), ['a']);
      assert.deepEqual(await affected('ciudad', { id_ciudad: '1' }), ['a', "o'x"], 'ciudad and origen');
      assert.deepEqual(await affected('ciudad', { id_ciudad: '3' }), ['B']);
    });

    test('through nested sections, by keys of several columns', async () => {
      assert.deepEqual(await affected('dosis', { codigo: 'q', numero: '1' }), ["o'x"]);
      assert.deepEqual(await affected('dosis', { codigo: 'q', numero: '2' }), []);
    });

    test('by the rows themselves where the table has no key, and not by keys', async () => {
      assert.deepEqual(await affected('apodo', { chip: 'B' }), ['B']);
      assert.throws(
        () => perros.affectedRoots({ schema: 'public', table: 'apodo' }, db.placement, 'keys'),
        /has no key/,
      );
    });

    test('every root that shows a row of a table which is emptied', async () => {
      const query = perros.affectedRoots({ schema: 'public', table: 'visita' }, db.placement, 'all')!;
      assert.deepEqual(query.parameters, []);
      const { rows } = await db.client.query<{ id: string }>(query.sql);
      assert.deepEqual(rows.map(({ id }) => id).sort(), ['a', "o'x"]);
    });

    test('nothing for a table that the connector does not read', () => {
      assert.equal(perros.affectedRoots({ schema: 'public', table: 'gato' }, db.placement, 'keys'), null);
    });
  });

  test('lists its tables, the root first, with all used columns', () => {
    assert.deepEqual(
      perros.tables.map(({ table }) => table),
      ['Perro Grande', 'ciudad', 'pais', 'visita', 'dosis', 'apodo', 'ancho'],
    );
    assert.deepEqual(perros.tables.find(({ table }) => table === 'ciudad')!.columns, [
      'id_ciudad',
      'nombre',
      'id_pais',
    ]);
    assert.deepEqual(perros.tables.find(({ table }) => table === 'apodo')!.columns, ['chip', 'orden', 'apodo']);
  });

  test('a table that lost a used column is a clear error', () => {
    const without = (table: { schema: string; table: string }) => {
      const placed = db.placement(table);
      return {
        ...placed,
        types: Object.fromEntries(Object.entries(placed.types).filter(([name]) => name !== 'motivo')),
      };
    };
    assert.throws(() => perros.projection(without, 'm'), /public\.visita has no column motivo/);
  });
});
