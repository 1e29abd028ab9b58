import type pg from 'pg';
import { quoteIdentifier } from '../../src/postgres/identifier.ts';
import { OWN_SAMPLES, SAMPLES } from './value-samples.ts';

/** A table of SIIRAyS whose columns or key are of the types under test; public, and each with a column id_epsa. */
export interface ValueTable {
  name: string;
  /** Columns of its primary key; empty where it has none. */
  key: readonly string[];
}

interface TypedColumn {
  name: string;
  type: string;
  /** SQL expressions. */
  values: string[];
}

/** Arrays of these are keys too. */
const ARRAY_KEYS = ['integer[]', 'text[]', 'numeric[]', 'estado[]'];
/** These have a key of their own, too. */
const ALONE = ['text', 'numeric', 'citext', 'double precision', 'integer[]', 'cosa', 'estado'];
/** Columns of one key; an index has 32 at most. */
const KEY_COLUMNS = 24;

const ALL = { ...SAMPLES, ...OWN_SAMPLES };

function literal(text: string, type: string): string {
  return `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'::${type}`;
}

function plainColumns(): TypedColumn[] {
  return Object.entries(ALL).map(([type, samples]) => ({
    name: type.slice(0, 40),
    type,
    values: samples.map((sample) => literal(sample, type)),
  }));
}

/** Empty, with NULL, of two dimensions, with lower bounds other than 1. */
function arrayColumns(): TypedColumn[] {
  return Object.entries(ALL).map(([type, samples]) => {
    const first = literal(samples[0]!, type);
    const all = samples.map((sample) => literal(sample, type)).join(', ');
    const last = literal(samples.at(-1)!, type);
    const values = [
      `'{}'::${type}[]`,
      type === 'muy_positivo' ? `ARRAY[${all}]::${type}[]` : `ARRAY[NULL, ${all}, NULL]::${type}[]`,
      `ARRAY[ARRAY[${first}, ${last}], ARRAY[${last}, ${first}]]::${type}[]`,
      `('[-1:0]=' || (ARRAY[${first}, ${last}]::${type}[])::text)::${type}[]`,
      `('[0:0][5:6]=' || (ARRAY[ARRAY[${first}, ${last}]]::${type}[])::text)::${type}[]`,
    ];
    return { name: `${type}[]`.slice(0, 40), type: `${type}[]`, values };
  });
}

/** A row per sample, until each sample of each column has had its turn; the last row is NULL where that is allowed. */
async function fill(client: pg.ClientBase, table: string, columns: readonly TypedColumn[]): Promise<void> {
  const count = Math.max(...columns.map(({ values }) => values.length));
  const names = columns.map(({ name }) => quoteIdentifier(name)).join(', ');
  for (let row = 0; row < count; row++) {
    const values = columns.map(({ values }) => values[row % values.length]);
    await client.query(`INSERT INTO ${table} (id, ${names}) VALUES (${row + 1}, ${values.join(', ')})`);
  }
  await client.query(`INSERT INTO ${table} (id) VALUES (${count + 1})`);
}

async function wideTable(client: pg.ClientBase, name: string, columns: readonly TypedColumn[]): Promise<void> {
  const typed = columns.map((column) => `${quoteIdentifier(column.name)} ${column.type}`);
  await client.query(
    `CREATE TABLE ${name} (id integer PRIMARY KEY, id_epsa integer DEFAULT 1, marca text, ${typed.join(', ')})`,
  );
  await fill(client, name, columns);
}

/** Makes the types, and tables with every one of them as column, as array and, where it has an order, as key. */
export async function makeValueTables(client: pg.ClientBase): Promise<ValueTable[]> {
  const plain = plainColumns();
  const arrays = arrayColumns();
  await wideTable(client, 'valores', plain);
  await wideTable(client, 'arreglos', arrays);
  const tables: ValueTable[] = [
    { name: 'valores', key: ['id'] },
    { name: 'arreglos', key: ['id'] },
    { name: 'sin_clave', key: [] },
    { name: 'fuera_de_linea', key: ['id'] },
  ];
  await client.query(`CREATE TABLE sin_clave (LIKE valores INCLUDING DEFAULTS); ALTER TABLE sin_clave REPLICA IDENTITY FULL;
    INSERT INTO sin_clave SELECT * FROM valores; INSERT INTO sin_clave SELECT * FROM valores WHERE id < 4`);
  await makeLongValues(client);
  const keys = await withOrder(client, [...plain, ...arrays.filter(({ type }) => ARRAY_KEYS.includes(type))]);
  for (let from = 0; from < keys.length; from += KEY_COLUMNS) {
    tables.push(await keyTable(client, `clave_${1 + from / KEY_COLUMNS}`, keys.slice(from, from + KEY_COLUMNS)));
  }
  for (const [i, column] of keys.filter(({ type }) => ALONE.includes(type)).entries()) {
    tables.push(await keyTable(client, `clave_sola_${i + 1}`, [column]));
  }
  return tables;
}

/** The columns that can be part of a key. */
async function withOrder(client: pg.ClientBase, columns: readonly TypedColumn[]): Promise<TypedColumn[]> {
  const ordered: TypedColumn[] = [];
  for (const column of columns) {
    try {
      await client.query(`CREATE TEMP TABLE prueba (k ${column.type} PRIMARY KEY); DROP TABLE prueba`);
      ordered.push(column);
    } catch (error) {
      if ((error as { code?: string }).code !== '42704') throw error;
    }
  }
  return ordered;
}

/** A table whose key is all of these columns, in the order from the last to the first; another column stands before them. */
async function keyTable(client: pg.ClientBase, name: string, columns: readonly TypedColumn[]): Promise<ValueTable> {
  const names = columns.map((column) => column.name);
  const typed = columns.map((column) => `${quoteIdentifier(column.name)} ${column.type}`);
  const key = names.toReversed().map(quoteIdentifier).join(', ');
  await client.query(
    `CREATE TABLE ${name} (marca text, ${typed.join(', ')}, id_epsa integer DEFAULT 1, PRIMARY KEY (${key}))`,
  );
  const count = Math.max(...columns.map(({ values }) => values.length));
  for (let row = 0; row < count; row++) {
    const values = columns.map(({ values }) => values[row % values.length]);
    await client.query(`INSERT INTO ${name} VALUES ('uno', ${values.join(', ')}) ON CONFLICT DO NOTHING`);
  }
  return { name, key: names };
}

/** Values that PostgreSQL keeps out of line, of every kind of type that can grow. */
async function makeLongValues(client: pg.ClientBase): Promise<void> {
  const columns = {
    texto: ['text', `repeat('ñ😀\\"', 3000)`],
    variable: ['varchar', `repeat('x y', 3000)`],
    crudo: ['bytea', `decode(repeat('5c00ff', 3000), 'hex')`],
    numero: ['numeric', `repeat('9', 9000)::numeric`],
    arreglo: ['text[]', `array_fill('a "b"'::text, ARRAY[800, 2], ARRAY[0, 7])`],
    enteros: ['bigint[]', 'array_fill(9223372036854775807, ARRAY[2000])'],
    j: ['json', `('  ["' || repeat('ñ', 5000) || '"]')::json`],
    jb: ['jsonb', `('["' || repeat('ñ', 5000) || '", 1.50]')::jsonb`],
    x: ['xml', `('<a>' || repeat('ñ', 5000) || '</a>')::xml`],
    busca: ['tsvector', `(SELECT string_agg('''l' || i || '''', ' ') FROM generate_series(1, 2000) i)::tsvector`],
    bits: ['bit varying', `repeat('1', 40000)::varbit`],
    camino: ['path', `('(' || repeat('(0.1,0),', 500) || '(1,1))')::path`],
    varios: ['nummultirange', `(SELECT range_agg(numrange(i, i + 0.50)) FROM generate_series(1, 800) i)`],
    compuesto: ['cosa', `ROW(1, ROW(0.1, 0.2, repeat('ñ"', 3000))::punto3, 'infinity', 'z', NULL, NULL)::cosa`],
    dominio: ['lista', `array_fill(1, ARRAY[1, 3000])::lista`],
    mapa: ['hstore', `hstore('a', repeat('q"', 3000))`],
    insensible: ['citext', `repeat('Ñb', 3000)::citext`],
  } as const;
  const typed = Object.entries(columns).map(([name, [type]]) => `${name} ${type}`);
  await client.query(
    `CREATE TABLE fuera_de_linea (id integer PRIMARY KEY, id_epsa integer DEFAULT 1, marca text, ${typed.join(', ')})`,
  );
  for (const name of Object.keys(columns)) {
    await client.query(`ALTER TABLE fuera_de_linea ALTER COLUMN ${name} SET STORAGE EXTERNAL`);
  }
  const values = Object.values(columns).map(([, value]) => value);
  await client.query(
    `INSERT INTO fuera_de_linea (id, ${Object.keys(columns).join(', ')}) SELECT i, ${values.join(', ')} FROM generate_series(1, 3) i`,
  );
}
