/** Which rows of SIIRAyS a document, or a path of it, is made of: checked by what their removal does to the document. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { loadSample } from '../../embedded/siirays/sample.ts';
import type { CompiledConnector } from '../../src/connector/compiled.ts';
import { loadConnectors } from '../../src/connector/load.ts';
import { quoteIdentifier } from '../../src/postgres/identifier.ts';
import { testDatabase } from '../support/postgres.ts';
import type { Row } from './reference-projection.ts';
import { SiiraysDatabase } from './siirays-database.ts';

const database = await testDatabase();

interface Found {
  table: string;
  key: Record<string, string>;
}

describe('the rows that a document is made of', () => {
  let siirays: SiiraysDatabase;
  let epsa: CompiledConnector;
  let id: string;

  before(async () => {
    siirays = await SiiraysDatabase.create(database.url);
    epsa = loadConnectors('connectors', siirays.catalog).find(({ name }) => name === 'epsa')!;
    await loadSample(siirays.client, { epsas: 60 });
    const rows = await siirays.read();
    // The document with the most kinds of rows.
    const kinds = (one: string) =>
      Object.values(rows).filter((table) => table.some(({ id_epsa }) => id_epsa === one)).length;
    id = rows.epsa!.map((row) => row.id_epsa!).sort((a, b) => kinds(b) - kinds(a))[0]!;
  });
  after(() => siirays.close());

  async function find(path: string | null, of = id): Promise<Found[]> {
    const { sql, tables } = epsa.sourceRows(path, siirays.placement);
    const { rows } = await siirays.client.query<{ place: string; key: string }>(sql, [of, 1_000]);
    return rows.map(({ place, key }) => ({ table: tables[Number(place)]!.table, key: JSON.parse(key) }));
  }

  async function document(): Promise<Record<string, unknown>> {
    const [projected] = await siirays.project(epsa, [id]);
    return JSON.parse(projected!.body!) as Record<string, unknown>;
  }

  const sections = (): CompiledConnector['definition']['root']['sections'] => epsa.definition.root.sections;

  test('are all rows that change it where they go, and none of other documents', async () => {
    const told = await find(null);
    const whole = JSON.stringify(await document());
    let changing = 0;
    // Catalogues have many rows; so many of each that are not told are tried.
    const tried = 4;
    for (const { table } of epsa.tables) {
      const own = told.filter((row) => row.table === table);
      const { rows } = await siirays.client.query<Row>(`SELECT ctid, * FROM ${quoteIdentifier(table)}`);
      let foreign = 0;
      for (const { ctid, ...row } of rows) {
        const isTold = own.some(({ key }) => Object.entries(key).every(([name, value]) => row[name] === value));
        // Nothing of this document leads to the rows of others.
        if (row.id_epsa !== undefined && row.id_epsa !== id) {
          assert.ok(!isTold, `${table} ${ctid} belongs to another document`);
          continue;
        }
        if (!isTold && ++foreign > tried) continue;
        await siirays.client.query('BEGIN');
        await siirays.client.query(`DELETE FROM ${quoteIdentifier(table)} WHERE ctid = $1`, [ctid]);
        const [projected] = await siirays.project(epsa, [id]);
        await siirays.client.query('ROLLBACK');
        const text = projected?.body == null ? '' : JSON.stringify(JSON.parse(projected.body));
        if (text === whole) continue;
        changing++;
        assert.ok(isTold, `${table} ${ctid} changes the document`);
      }
    }
    assert.ok(changing > 25, `${changing} rows change it`);
  });

  test('of a place in a list are that one, with the look-up of the field', async () => {
    const list = sections().find(
      ({ shape, fields }) => shape === 'list' && fields.some((field) => field.lookup !== null),
    )!;
    const field = list.fields.find((one) => one.lookup !== null)!;
    const { rows } = await siirays.client.query<Row>(
      `SELECT * FROM ${quoteIdentifier(list.rows.table)} WHERE id_epsa = (SELECT id_epsa FROM ${quoteIdentifier(list.rows.table)}
         GROUP BY id_epsa HAVING count(*) > 1 ORDER BY id_epsa LIMIT 1) ORDER BY ${list.key.map(quoteIdentifier).join(', ')}`,
    );
    const [owner, second] = [rows[0]!.id_epsa!, rows[1]!];
    const found = await find(`${list.name}[1].${field.name}`, owner);
    const { key } = siirays.placement(list.rows);
    assert.deepEqual(found[1], {
      table: list.rows.table,
      key: Object.fromEntries(key.map((name) => [name, second[name]])),
    });
    assert.equal(found[0]!.table, 'epsa');
    const lookups = new Set([list.lookups.find(({ name }) => name === field.lookup)!.table.table]);
    for (const row of found.slice(2)) assert.ok(lookups.has(row.table), row.table);
    assert.ok(found.length <= 3);
    assert.ok((await find(list.name, owner)).filter(({ table }) => table === list.rows.table).length >= rows.length);
    assert.deepEqual(
      (await find(`${list.name}[999]`, owner)).map(({ table }) => table),
      ['epsa'],
    );
  });

  test('of a path that the connector does not know are the whole', async () => {
    assert.deepEqual(await find('no.such[3].path'), await find(null));
    assert.deepEqual(await find(null, '-1'), []);
  });
});
