import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Cells } from '../../consumer/table-model.ts';
import { databaseLike, keysOf, RowsRig } from './rows-rig.ts';

/** Name, columns with what they may hold, and how many of them, from the first on, are the key. */
const TEXTS = ['', ' ', 'a', 'A', 'á', 'b', 'ñ', 'z', '-', '1', '10', '9', '\\', "'", ','];
const VALUES = [null, ...TEXTS];
const TABLES: Record<string, { types: string[]; cells: (string | null)[][]; key: number }> = {
  entera: { types: ['integer', 'text'], cells: [['1', '2', '3', '5', '8', '-4', '100'], VALUES], key: 1 },
  texto: { types: ['text', 'text'], cells: [TEXTS, VALUES], key: 1 },
  doble: { types: ['text', 'integer', 'text'], cells: [['a', 'A', 'ñ', 'b'], ['1', '2', '3'], VALUES], key: 2 },
  número: { types: ['numeric', 'text'], cells: [['1', '1.5', '-2', 'NaN', '1e-5', '100'], VALUES], key: 1 },
  sin_clave: { types: ['integer', 'text'], cells: [['1', '2', null], VALUES.slice(0, 4)], key: 0 },
};
const DDL = Object.entries(TABLES).map(([name, { types, key }]) => {
  const columns = types.map((type, i) => `c${i} ${type}`);
  const names = Array.from({ length: key }, (_, i) => `c${i}`);
  return `CREATE TABLE ${name} (${[...columns, ...(key > 0 ? [`PRIMARY KEY (${names.reverse().join()})`] : [])].join()})`;
});

const icu = await databaseLike('ICU', `ENCODING UTF8 LOCALE_PROVIDER icu ICU_LOCALE 'es-BO' LOCALE 'C'`);
const latin1 = await databaseLike('LATIN1', `ENCODING LATIN1 LOCALE 'C'`);

test('of any two tables the candidates are just the rows that only one side has, whatever the size of ranges', async () => {
  const rig = await RowsRig.create(latin1.url, icu.url, DDL.join(';'));
  const comparisons = [
    [1, 1],
    [2, 3],
    [5, 5],
    [1_000, 20_000],
  ].map(([minRangeRows, maxRangeRows]) => rig.comparison({ minRangeRows, maxRangeRows }));
  const rows = fc.constantFrom(...Object.keys(TABLES)).chain((name) => {
    const { cells, key } = TABLES[name]!;
    const row = fc.tuple(...cells.map((of) => fc.constantFrom(...of)));
    const side =
      key > 0 ? fc.uniqueArray(row, { selector: keyIn(key), maxLength: 12 }) : fc.array(row, { maxLength: 12 });
    return fc.record({ name: fc.constant(name), source: side, replica: side, shared: side });
  });
  let found = 0;
  await fc.assert(
    fc.asyncProperty(rows, async ({ name, ...sides }) => {
      const { key } = TABLES[name]!;
      const source = withShared(sides.source, sides.shared, key);
      const replica = withShared(sides.replica, sides.shared, key);
      const values = source.map((row) => `(${row.map((cell) => (cell === null ? 'NULL' : literal(cell))).join()})`);
      await rig.siirays.query(
        `DELETE FROM ${name}${values.length > 0 ? `; INSERT INTO ${name} VALUES ${values.join()}` : ''}`,
      );
      await rig.fillReplica(name, replica);
      const expected =
        key > 0 ? keyedDifferences(name, source, replica, key) : countedDifferences(name, source, replica);
      found += expected.length;
      for (const comparison of comparisons) {
        const candidates = [];
        for await (const range of comparison.scan(
          { table: `public.${name}`, after: null },
          new AbortController().signal,
        )) {
          if (range.table !== `public.${name}`) break;
          candidates.push(...range.candidates);
        }
        assert.deepEqual(keysOf(candidates), expected);
        assert.equal((await comparison.look(candidates)).length, expected.length);
      }
    }),
    { numRuns: 60 },
  );
  assert.ok(found > 100, `${found} differences`);
});

function keyIn(columns: number) {
  return (row: Cells): string =>
    row
      .slice(0, columns)
      .map((cell) => (cell === '1e-5' ? '0.00001' : cell))
      .join();
}

/** Rows that both sides have, and this one's own. */
function withShared(own: readonly Cells[], shared: readonly Cells[], key: number): Cells[] {
  if (key === 0) return [...own, ...shared];
  const known = new Set(shared.map(keyIn(key)));
  return [...shared, ...own.filter((row) => !known.has(keyIn(key)(row)))];
}

function keyedDifferences(name: string, source: Cells[], replica: Cells[], key: number): string[] {
  const one = new Map(source.map((row) => [keyIn(key)(row), JSON.stringify(row)]));
  const other = new Map(replica.map((row) => [keyIn(key)(row), JSON.stringify(row)]));
  const keys = [...new Set([...one.keys(), ...other.keys()])].filter((id) => one.get(id) !== other.get(id));
  return keys.map((id) => `${name}:${id}`).sort();
}

function countedDifferences(name: string, source: Cells[], replica: Cells[]): string[] {
  const counts = new Map<string, number>();
  for (const row of source) counts.set(JSON.stringify(row), (counts.get(JSON.stringify(row)) ?? 0) + 1);
  for (const row of replica) counts.set(JSON.stringify(row), (counts.get(JSON.stringify(row)) ?? 0) - 1);
  return [...counts.values()].filter((count) => count !== 0).map(() => `${name}:#`);
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
