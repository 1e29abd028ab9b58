import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Catalog } from '../../src/connector/catalog.ts';
import { loadConnectors, readConnector } from '../../src/connector/load.ts';
import { ConnectorError } from '../../src/connector/mistake.ts';
import { tempDir } from '../support/temp-dir.ts';

/** A whole, right file, to which tests do harm. */
const RIGHT = `source: {kind: postgres}
target: {path: /perros}
root: {table: perro, id: id_perro}
sections:
  datos:
    shape: object
    rows: perro
    lookups: [raza]
    fields:
      nombre:
      raza: raza.nombre_raza
      peso: {type: number, required: true}
  vacunas:
    shape: list of text
    rows: vacuna
    column: descripcion
`;

const CATALOG: Catalog = [
  {
    schema: 'public',
    table: 'perro',
    types: { id_perro: 'integer', nombre: 'text', peso: 'numeric(5,2)', id_raza: 'integer', chip: 'text' },
    key: ['id_perro'],
  },
  { schema: 'public', table: 'raza', types: { id_raza: 'integer', nombre_raza: 'text' }, key: ['id_raza'] },
  {
    schema: 'public',
    table: 'vacuna',
    types: { id_vacuna: 'bigint', id_perro: 'integer', descripcion: 'text' },
    key: [],
  },
];

function mistakes(text: string, catalog?: Catalog): string[] {
  return readConnector('perros.yaml', text, catalog).mistakes.map(
    ({ line, column, message }) => `${line}:${column}: ${message}`,
  );
}

/** The mistakes of RIGHT with one piece of it replaced. */
function harmed(piece: string, by: string, catalog?: Catalog): string[] {
  assert.ok(RIGHT.includes(piece), `the file has ${piece}`);
  return mistakes(RIGHT.replace(piece, by), catalog);
}

describe('a right file', () => {
  test('is read with its defaults filled in', () => {
    const { definition, mistakes: none } = readConnector('perros.yaml', RIGHT, CATALOG);
    assert.deepEqual(none, []);
    assert.equal(definition!.name, 'perros');
    assert.deepEqual(definition!.target, { path: '/perros', tag: 'sync', adapter: 'changes' });
    const [datos, vacunas] = definition!.root.sections;
    assert.deepEqual(datos!.by, [{ from: 'id_perro', to: 'id_perro' }]);
    assert.deepEqual(datos!.lookups[0]!.by, [{ from: 'id_raza', to: 'id_raza' }]);
    assert.deepEqual(
      datos!.fields.map(({ name, lookup, column, type, required }) => [name, lookup, column, type, required]),
      [
        ['nombre', null, 'nombre', 'text', false],
        ['raza', 'raza', 'nombre_raza', 'text', false],
        ['peso', null, 'peso', 'number', true],
      ],
    );
    assert.deepEqual(vacunas!.key, ['id_vacuna']);
    assert.deepEqual(vacunas!.column, { lookup: null, column: 'descripcion' });
  });

  test('takes names with dots in quotation marks', () => {
    const text = RIGHT.replace('rows: vacuna', `rows: '"salud.de ""los"" perros".vacuna'`).replace(
      'column: descripcion',
      `column: '"con.punto"'`,
    );
    const { definition, mistakes } = readConnector('perros.yaml', text);
    assert.deepEqual(mistakes, []);
    assert.deepEqual(definition!.root.sections[1]!.rows, { schema: 'salud.de "los" perros', table: 'vacuna' });
    assert.deepEqual(definition!.root.sections[1]!.column, { lookup: null, column: 'con.punto' });
  });

  test('keeps tables of other schemas apart', () => {
    const text = RIGHT.replace('rows: vacuna', 'rows: salud.vacuna').replace(
      'kind: postgres',
      'kind: postgres, schema: can',
    );
    const { definition } = readConnector('perros.yaml', text);
    assert.deepEqual(definition!.root.table, { schema: 'can', table: 'perro' });
    assert.deepEqual(definition!.root.sections[1]!.rows, { schema: 'salud', table: 'vacuna' });
    assert.deepEqual(definition!.root.sections[1]!.key, ['id_vacuna']);
  });
});

describe('a mistake is told with its place, what was expected, and the nearest known name', () => {
  test('an unknown key', () => {
    assert.deepEqual(harmed('rows: perro', 'row: perro'), [
      '5:3: sections.datos: the key rows is missing: expected text',
      '7:5: sections.datos: unknown key row: expected one of shape, rows, by, key, lookups, required, description, fields, sections; did you mean rows?',
    ]);
  });

  test('an unknown shape', () => {
    assert.deepEqual(harmed('shape: object', 'shape: objet'), [
      '6:12: sections.datos.shape: unknown value objet: expected one of object, list, text, list of text; did you mean object?',
    ]);
  });

  test('an unknown type, within the short and the long form of a field', () => {
    assert.deepEqual(harmed('type: number', 'type: numbre'), [
      '12:20: sections.datos.fields.peso.type: unknown value numbre: expected one of text, integer, number, boolean, date, timestamp, json; did you mean number?',
    ]);
    assert.deepEqual(harmed('nombre:\n', 'nombre: [a]\n'), [
      '10:15: sections.datos.fields.nombre: expected nothing or text or a map, found a list',
    ]);
  });

  test('a missing key', () => {
    assert.deepEqual(harmed('target: {path: /perros}\n', ''), ['1:1: the key target is missing: expected a map']);
    assert.deepEqual(harmed('    column: descripcion\n', ''), [
      '13:3: sections.vacunas: the key column is missing: expected text',
    ]);
  });

  test('a name that stands twice', () => {
    assert.deepEqual(harmed('      nombre:\n', '      nombre:\n      # otra vez\n      nombre: chip\n'), [
      '12:7: nombre stands twice in one map: expected each name once',
    ]);
    const nested = '    sections:\n      peso: {shape: text, rows: vacuna, column: descripcion}\n  vacunas:';
    assert.deepEqual(harmed('  vacunas:', nested), [
      '14:7: sections.datos.sections.peso: there is a field peso beside it already',
    ]);
  });

  test('a look-up that is not declared, or twice', () => {
    assert.deepEqual(harmed('raza.nombre_raza', 'rasa.nombre_raza'), [
      '11:13: sections.datos.fields.raza: unknown look-up rasa: expected one of raza; did you mean raza?',
    ]);
    assert.deepEqual(harmed('[raza]', '[raza, raza]'), [
      '8:21: sections.datos.lookups[1]: there is a look-up raza already: give this one another name with `as`',
    ]);
    assert.deepEqual(harmed('[raza]', '[raza, {table: club, from: rasa}]'), [
      '8:41: sections.datos.lookups[1].from: unknown look-up rasa: expected one of raza; did you mean raza? (they stand before this one)',
    ]);
  });

  test('a section that shows nothing', () => {
    assert.deepEqual(harmed('column: descripcion', 'fields: {}').length, 2);
    assert.deepEqual(harmed('  vacunas:', '  otra: {shape: object, rows: perro}\n  vacunas:'), [
      '13:3: sections.otra: shows nothing: expected fields or sections',
    ]);
  });

  test('text that is no YAML, an empty file, an alias to nothing', () => {
    assert.match(mistakes('a: [1\nb: x').join('\n'), /^2:1: Flow sequence/);
    assert.deepEqual(mistakes(''), ['1:1: the file: expected a map, found nothing']);
    assert.match(mistakes('a: *b').join('\n'), /^1:4: \*b points nowhere: expected an anchor &b before it$/);
  });
});

describe('against the tables of a database', () => {
  test('unknown tables and columns', () => {
    assert.deepEqual(harmed('rows: vacuna', 'rows: vacunas', CATALOG), [
      '15:11: sections.vacunas.rows: unknown table vacunas: expected one of perro, raza, vacuna; did you mean vacuna?',
    ]);
    assert.deepEqual(harmed('raza.nombre_raza', 'raza.nombre_rasa', CATALOG), [
      '11:13: sections.datos.fields.raza: public.raza has no column nombre_rasa: expected one of id_raza, nombre_raza; did you mean nombre_raza?',
    ]);
    assert.deepEqual(harmed('nombre:\n', 'nombr:\n', CATALOG), [
      '10:7: sections.datos.fields.nombr: public.perro has no column nombr: expected one of id_perro, nombre, peso, id_raza, chip; did you mean nombre?',
    ]);
  });

  test('columns that cannot give the type of the field, or be compared', () => {
    assert.deepEqual(harmed('type: number', 'type: integer', CATALOG), [
      '12:13: sections.datos.fields.peso: the column peso of public.perro is numeric(5,2): that is no integer',
    ]);
    assert.deepEqual(harmed('[raza]', '[{table: raza, by: {chip: id_raza}}]', CATALOG), [
      '8:15: sections.datos.lookups[0]: chip of public.perro is text, id_raza of public.raza is integer: expected like columns',
    ]);
  });

  test('look-ups and document ids that are not unique', () => {
    assert.deepEqual(harmed('[raza]', '[raza, {table: vacuna, by: id_perro}]', CATALOG), [
      '8:21: sections.datos.lookups[1]: several rows of public.vacuna may have one id_perro: expected its primary key',
    ]);
    assert.match(
      harmed('id: id_perro', 'id: id_raza', CATALOG)[0]!,
      /^3:26: root.id: public.perro may hold several rows of one id_raza/,
    );
  });
});

test('all mistakes come at once: of every kind, in every section, in every file, in the order of their lines', (t) => {
  const dir = tempDir('connectors');
  t.after(() => dir.remove());
  writeFileSync(
    join(dir.path, 'a.yaml'),
    RIGHT.replace('shape: object', 'shape: objet').replace('vacuna\n', 'vacunas\n'),
  );
  writeFileSync(
    join(dir.path, 'b.yaml'),
    RIGHT.replace('type: number', 'typ: number').replace('nombre_raza', 'nombr_raza'),
  );
  writeFileSync(join(dir.path, 'c.yaml'), RIGHT);
  writeFileSync(join(dir.path, 'd.yaml'), RIGHT);
  assert.throws(
    () => loadConnectors(dir.path, CATALOG),
    (error) => {
      assert.ok(error instanceof ConnectorError);
      const places = error.mistakes.map(
        ({ file, line, column }) => `${file.slice(dir.path.length + 1)}:${line}:${column}`,
      );
      assert.deepEqual(places, ['a.yaml:6:12', 'a.yaml:15:11', 'b.yaml:11:13', 'b.yaml:12:14', 'd.yaml:1:1']);
      assert.match(error.message, /d\.yaml:1:1: target: .*c\.yaml fills \/perros with tag sync already/);
      return true;
    },
  );
});

test('a folder without connectors is a mistake', (t) => {
  const dir = tempDir('connectors');
  t.after(() => dir.remove());
  assert.throws(() => loadConnectors(dir.path), /there is no \.yaml file here/);
});
