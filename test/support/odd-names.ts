import type pg from 'pg';
import { quoteIdentifier, quoteRelation } from '../../src/postgres/identifier.ts';
import type { TestTable } from './value-pipeline.ts';

/** Names of columns as people have given them; at most 63 bytes each. */
const COLUMNS = [
  'Con Mayúsculas y espacios',
  'con.punto',
  'con "comillas"',
  '"',
  "apóstrofo's $1 %s \\",
  'select',
  'user',
  '2020',
  'ñ'.repeat(31),
  'x'.repeat(63),
  '.'.repeat(63),
  '_x0041_',
  'A',
  'a_x0041_',
  ...['t', 'k', 'v', 'v1', 'n', 'k0', 't0', 'c1', 'asked', 'held', 'r', 'document', 'marked', 'id', 'oid'],
  ...['_hash', '_count', '__hash', '__count', 'before', 'after', 'op', 'source', '__proto__', 'constructor'],
];

/** [schema, table]; the last ones would meet in one name if dots or underscores were taken for nothing else. */
const TABLES: readonly (readonly [string, string])[] = [
  ['public', 'Con "comillas", espacios y. puntos'],
  ['public', 'order'],
  ['public', 'ñ'.repeat(31)],
  ['public', `${' '.repeat(62)}x`],
  ['Esquema con.punto', 'tabla'],
  ['ñ'.repeat(31), 'ü'.repeat(31)],
  ['otro', 'tabla'],
  ['public', 'otro.tabla'],
  ['public', 'tabla_x002E_'],
  ['public', 'tabla.'],
];

/**
 * Tables with odd names, each with a column that was dropped and an identity column; some without a key, the others with a
 * generated column (published with REPLICA IDENTITY FULL, PostgreSQL 18 would refuse its UPDATE).
 */
export async function makeOddTables(client: pg.ClientBase, columns: readonly string[] = COLUMNS): Promise<TestTable[]> {
  const tables: TestTable[] = [];
  for (const [i, [schema, name]] of TABLES.entries()) {
    const relation = quoteRelation(schema, name);
    const keyless = i % 3 === 2;
    const typed = columns.map((column) => `${quoteIdentifier(column)} text DEFAULT ''`).join(', ');
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(schema)};
      CREATE TABLE ${relation} (quitada integer, ${quoteIdentifier('Clave "N.º"')} integer GENERATED ALWAYS AS IDENTITY, ${typed},
        id_epsa integer DEFAULT 1
        ${keyless ? '' : `, doble integer GENERATED ALWAYS AS (id_epsa * 2) STORED, PRIMARY KEY (${quoteIdentifier('Clave "N.º"')}, ${quoteIdentifier(columns[0]!)})`});
      ALTER TABLE ${relation} DROP COLUMN quitada, ADD COLUMN "añadida" text;
      ${keyless ? `ALTER TABLE ${relation} REPLICA IDENTITY FULL` : ''}`);
    const key = keyless ? [] : ['Clave "N.º"', columns[0]!];
    tables.push({ schema, name, key, by: 'id_epsa', order: 'Clave "N.º"', shown: columns });
  }
  return tables;
}

/** Does every kind of change to each of them, in one transaction. */
export async function changeOddTables(client: pg.ClientBase, tables: readonly TestTable[]): Promise<void> {
  await client.query('BEGIN');
  for (const { schema, name, shown } of tables) {
    const relation = quoteRelation(schema, name);
    const [first, ...others] = shown.map(quoteIdentifier);
    const set = others.map((column, i) => `${column} = 'ñ' || ${i}`).join(', ');
    await client.query(`INSERT INTO ${relation} (${first}) SELECT 'fila ' || i FROM generate_series(1, 5) i;
      UPDATE ${relation} SET ${set} WHERE ${first} IN ('fila 2', 'fila 3');
      UPDATE ${relation} SET ${first} = 'otra', "añadida" = NULL WHERE ${first} = 'fila 3';
      DELETE FROM ${relation} WHERE ${first} = 'fila 4'`);
  }
  await client.query('COMMIT');
}
