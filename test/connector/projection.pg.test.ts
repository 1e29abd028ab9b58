import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { loadSample } from '../../embedded/siirays/sample.ts';
import type { CompiledConnector, TableRef } from '../../src/connector/compiled.ts';
import { loadConnectors } from '../../src/connector/load.ts';
import { testDatabase } from '../support/postgres.ts';
import { type Change, effectOf, keyOf, randomChange, randomRows } from './random-rows.ts';
import { canonicalText, parseDigits, type Row, type Rows, referenceDocuments } from './reference-projection.ts';
import { SiiraysDatabase } from './siirays-database.ts';

/** More than any random row's id: ids 5 and 6 belong to no EPSA, 7 to nothing. */
const IDS = ['1', '2', '3', '4', '5', '6', '7'];

const database = await testDatabase();

describe('documents of epsa.yaml', () => {
  let siirays: SiiraysDatabase;
  let epsa: CompiledConnector;
  let valid: (document: unknown) => boolean;

  before(async () => {
    siirays = await SiiraysDatabase.create(database.url);
    epsa = loadConnectors('connectors', siirays.catalog).find(({ name }) => name === 'epsa')!;
    await siirays.createIndexes(epsa);
    valid = new Ajv2020({ strict: true, allErrors: true, strictTypes: false }).compile(epsa.documentSchema);
  });
  after(() => siirays.close());

  test('equal the reference projection for the whole sample', async () => {
    await siirays.truncateAll();
    await loadSample(siirays.client, { epsas: 3000 });
    const rows = await siirays.read();
    const ids = await siirays.allRoots(epsa);
    assert.equal(ids.length, rows.epsa!.length);
    const names = await assertProjection(rows, ids);
    assert.equal(names.size, 18, 'the sample fills every section');
  });

  test('are projected and marked by index where there are many rows', async () => {
    await siirays.client.query('ANALYZE');
    const large = new Set(
      Object.entries(await siirays.read()).flatMap(([table, rows]) => (rows.length > 1000 ? [table] : [])),
    );
    assert.ok(large.size > 15, `the sample's large tables: ${[...large]}`);
    const projection = epsa.projection(siirays.placement, "(SELECT unnest('{1601}'::text[]) AS id)");
    assert.deepEqual(
      (await siirays.tablesReadWhole(projection)).filter((table) => large.has(table)),
      [],
    );
    for (const table of epsa.tables) {
      const touched = siirays.placement(table).key.length > 0 ? 'keys' : 'rows';
      const { sql } = epsa.affectedRoots(table, siirays.placement, touched)!;
      // Catalogues of few rows lead to most rows of a section: reading that whole is right.
      if (!large.has(table.table)) continue;
      const whole = await siirays.tablesReadWhole(sql.replaceAll(/\$\d+::text\[\]/g, "'{1601}'::text[]"));
      assert.deepEqual(
        whole.filter((name) => large.has(name)),
        [],
        `a change of ${table.table}`,
      );
    }
  });

  test('equal the reference projection for random rows', async () => {
    const seen = new Set<string>();
    const property = fc.asyncProperty(randomRows(siirays.catalog), async (rows) => {
      await siirays.fill(rows);
      for (const name of await assertProjection(await siirays.read(), IDS)) seen.add(name);
    });
    await fc.assert(property, { numRuns: 150 });
    assert.equal(seen.size, 18, 'the random rows fill every section');
  });

  test('every document that a change of any table alters is marked before or after it', async () => {
    let marks = 0;
    let altered = 0;
    for (const table of siirays.catalog) {
      const changes = fc.array(randomChange([table]), { minLength: 6, maxLength: 8, size: 'max' });
      const property = fc.asyncProperty(randomRows(siirays.catalog), changes, async (rows, list) => {
        await siirays.fill(rows);
        let state = await siirays.read();
        let documents = documentTexts(state);
        for (const change of list) {
          const marked = await apply(change, state);
          if (marked === null) continue;
          state = { ...state, ...(await siirays.read([table])) };
          const next = documentTexts(state);
          const changed = IDS.filter((id) => documents.get(id) !== next.get(id));
          const forgotten = changed.filter((id) => !marked.has(id));
          assert.deepEqual(forgotten, [], `${change.kind} of ${table.table} alters documents that it does not mark`);
          await assertProjection(state, [...marked]);
          marks += marked.size;
          altered += changed.length;
          documents = next;
        }
      });
      await fc.assert(property, { numRuns: 3 });
    }
    assert.ok(altered > 50, `random changes alter documents (${altered})`);
    assert.ok(marks < altered * 6, `marking is not everything (${marks} marks for ${altered} altered documents)`);
  });

  test('a batch over many tables marks enough when all its tables are asked before and after', async () => {
    const batches = fc.array(randomChange(siirays.catalog), { minLength: 2, maxLength: 30, size: 'max' });
    const property = fc.asyncProperty(randomRows(siirays.catalog), batches, async (rows, batch) => {
      await siirays.fill(rows);
      const old = await siirays.read();
      const touched = new Map<string, Row[]>();
      const next: Record<string, readonly Row[]> = { ...old };
      for (const change of batch) {
        const { table } = change.table;
        const effect = effectOf(change, next[table]!);
        if (effect === null) continue;
        touched.set(table, [...(touched.get(table) ?? []), ...effect.removed, ...effect.added]);
        next[table] = [...without(next[table]!, effect.removed), ...effect.added];
      }
      const marked = await affected(touched);
      await siirays.fill(next);
      for (const id of await affected(touched)) marked.add(id);
      const [was, is] = [documentTexts(old), documentTexts(await siirays.read())];
      assert.deepEqual(
        IDS.filter((id) => was.get(id) !== is.get(id) && !marked.has(id)),
        [],
      );
    });
    await fc.assert(property, { numRuns: 60 });
  });

  /** Compares documents and problems of `ids`, and gives the names of the sections that occurred. */
  async function assertProjection(rows: Rows, ids: readonly string[]): Promise<Set<string>> {
    const expected = referenceDocuments(rows);
    const names = new Set<string>();
    const projected = await siirays.project(epsa, ids);
    assert.equal(projected.length, ids.length, 'one row for each mark');
    for (const { id, body, problems } of projected) {
      const reference = expected.get(id);
      const document = body === null ? null : parseDigits(body);
      assert.equal(
        document === null ? undefined : canonicalText(document),
        reference && canonicalText(reference.document),
        `document ${id}`,
      );
      assert.deepEqual(problems?.toSorted() ?? [], reference?.problems.toSorted() ?? [], `problems of ${id}`);
      if (body === null) continue;
      assert.equal(valid(JSON.parse(body)), problems === null, `the schema refuses what lacks a required field: ${id}`);
      for (const name of Object.keys(JSON.parse(body))) names.add(name);
    }
    return names;
  }

  function documentTexts(rows: Rows): Map<string, string> {
    return new Map([...referenceDocuments(rows)].map(([id, { document }]) => [id, canonicalText(document)]));
  }

  /** Makes the change in the database; the ids marked before and after it, or null where it does nothing. */
  async function apply(change: Change, state: Rows): Promise<Set<string> | null> {
    const { table } = change;
    const effect = effectOf(change, state[table.table]!);
    if (effect === null) return null;
    const touched = new Map([[table.table, [...effect.removed, ...effect.added]]]);
    const marked = await affected(touched);
    const rest = [...without(state[table.table]!, effect.removed), ...effect.added];
    await siirays.client.query(`DELETE FROM ${siirays.placement(table).relation}`);
    await siirays.insert(table.table, rest);
    return new Set([...marked, ...(await affected(touched))]);
  }

  async function affected(touched: ReadonlyMap<string, readonly Row[]>): Promise<Set<string>> {
    const ids = new Set<string>();
    for (const [table, rows] of touched) {
      const ref: TableRef = { schema: 'public', table };
      for (const id of await siirays.affected(epsa, ref, rows)) ids.add(id);
    }
    return ids;
  }

  /** One row less for each removed one (rows without a key may stand several times). */
  function without(rows: readonly Row[], removed: readonly Row[]): Row[] {
    const rest = [...rows];
    for (const row of removed) {
      const whole = JSON.stringify(row);
      const found = rest.findIndex((other) => JSON.stringify(other) === whole);
      assert.notEqual(found, -1, `there is a row ${keyOf({ schema: '', table: '', types: {}, key: [] }, row)}`);
      rest.splice(found, 1);
    }
    return rest;
  }
});
