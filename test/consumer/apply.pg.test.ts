import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import type pg from 'pg';
import { BatchWriter } from '../../src/consumer/batch-writer.ts';
import { BrokenHistory } from '../../src/consumer/broken-history.ts';
import type { Replica } from '../../src/consumer/replica.ts';
import { ShapeChanged } from '../../src/consumer/shape-difference.ts';
import { type ChangeEvent, type TableShape, UNCHANGED } from '../../src/kafka/change-event.ts';
import { disconnect } from '../../src/postgres/session.ts';
import { testDatabase } from '../support/postgres.ts';
import { eventOf, shapeOf } from './change-events.ts';
import { blindConnector, createSync, readTable } from './sync-database.ts';
import { keyed, keyless, randomEvents, TableModel } from './table-model.ts';

const database = await testDatabase();

describe('applying to the replica', () => {
  let client: pg.Client;
  let replica: Replica;

  before(async () => {
    ({ client, replica } = await createSync(database.url, blindConnector('blind')));
  });
  after(() => disconnect(client));

  async function empty(): Promise<void> {
    for (const { relation } of replica.live.tables.all()) await client.query(`DELETE FROM ${relation}`);
    await client.query('DELETE FROM blind_sync.incomplete');
    await replica.live.incomplete.load(client);
  }

  async function apply(...parts: ChangeEvent[][]): Promise<void> {
    const writer = new BatchWriter(client, replica.live);
    for (const events of parts) {
      if (events.length === 0) continue;
      writer.add(events[0]!.shape.key.length, events);
      await writer.flush();
    }
    await writer.begin();
    await writer.commit();
  }

  async function rowsOf(shape: TableShape): Promise<string[]> {
    return readTable(client, await replica.live.tables.ensure(client, shape));
  }

  for (const shape of [keyed, keyless]) {
    test(`equals applying the events of table ${shape.table} one by one, in batches of any size`, async () => {
      const cuts = fc.array(fc.nat({ max: 40 }), { maxLength: 3 });
      await fc.assert(
        fc.asyncProperty(randomEvents(shape), cuts, async (events, at) => {
          await empty();
          const model = new TableModel(shape);
          for (const event of events) model.apply(event);
          const ends = [0, ...at, 40].sort((a, b) => a - b);
          await apply(...ends.map((end, i) => events.slice(ends[i - 1] ?? 0, end)));
          assert.deepEqual(await rowsOf(shape), model.rows());
          assert.equal(await replica.live.incomplete.count(client), 0);
        }),
        { numRuns: 250 },
      );
    });
  }

  test('a re-read of rows that are there changes nothing', async () => {
    await empty();
    const row = ['1', '1', 'long', null];
    await apply([eventOf(keyed, { op: 'c', after: row })]);
    const was = await rowsOf(keyed);
    await apply(
      [eventOf(keyed, { op: 'r', after: row })],
      [eventOf(keyed, { op: 'd', before: ['9', '9', null, null] })],
    );
    assert.deepEqual(await rowsOf(keyed), was);
  });

  test('two rows that exchange their keys keep their TOASTed values', async () => {
    await empty();
    const move = (from: string, to: string, note: string) =>
      eventOf(keyed, { op: 'u', before: [from, 'k', null, null], after: [to, 'k', UNCHANGED, note] });
    await apply([
      eventOf(keyed, { op: 'c', after: ['1', 'k', 'one', ''] }),
      eventOf(keyed, { op: 'c', after: ['2', 'k', 'two', ''] }),
    ]);
    await apply([move('1', '3', 'x'), move('2', '1', 'y'), move('3', '2', 'z')]);
    assert.deepEqual(await rowsOf(keyed), ['["1","k","two","y"]', '["2","k","one","z"]']);
  });

  test('a row whose placeholder finds no value is incomplete until it comes whole or goes', async () => {
    await empty();
    const partial = eventOf(keyed, { op: 'u', after: ['1', 'k', UNCHANGED, 'x'] });
    const moved = eventOf(keyed, { op: 'u', before: ['7', 'k', null, null], after: ['2', 'k', UNCHANGED, 'x'] });
    const lost = [eventOf(keyed, { op: 't' }), eventOf(keyed, { op: 'u', after: ['3', 'k', UNCHANGED, 'x'] })];
    await apply(lost, [partial, moved]);
    const { incomplete } = replica.live;
    assert.equal(await incomplete.count(client), 3);
    const asked = await incomplete.due(client, 30_000);
    assert.deepEqual(asked.flatMap(({ keys }) => keys).sort(), [
      ['1', 'k'],
      ['2', 'k'],
      ['3', 'k'],
    ]);
    assert.deepEqual(await incomplete.due(client, 30_000), [], 'asked for once in that time');
    await apply([partial]);
    assert.equal(await incomplete.count(client), 3, 'a placeholder again does not complete it');
    await apply([eventOf(keyed, { op: 'r', after: ['1', 'k', 'long', 'x'] })]);
    await apply([eventOf(keyed, { op: 'd', before: ['2', 'k', null, null] })]);
    assert.equal(await incomplete.count(client), 1);
    await apply([eventOf(keyed, { op: 't' })]);
    assert.equal(await incomplete.count(client), 0);
  });

  test('a row without a key that is taken away more often than it is there is broken history', async () => {
    await empty();
    const row = ['1', 'x', '', null];
    await apply([eventOf(keyless, { op: 'c', after: row })]);
    const gone = eventOf(keyless, { op: 'd', before: row });
    await assert.rejects(apply([gone, gone]), BrokenHistory);
    await client.query('ROLLBACK');
    assert.equal((await rowsOf(keyless)).length, 1);
  });

  test('a changed shape stops with both shapes in the message, and changes nothing', async () => {
    await empty();
    await apply([eventOf(keyed, { op: 'c', after: ['1', '1', '', null] })]);
    const wider = shapeOf('keyed', { a: 'integer', b: 'text', long: 'text', note: 'text' }, ['a', 'b']);
    await assert.rejects(apply([eventOf(wider, { op: 't' })]), (error) => {
      assert.ok(error instanceof ShapeChanged);
      assert.match(error.message, /note character varying\(20\).*note text/);
      return true;
    });
    assert.equal((await rowsOf(keyed)).length, 1);
  });

  test('values keep their text in columns of their own types; types that are unknown here become text', async () => {
    const types: Record<string, [type: string, value: string, kept: string]> = {
      id: ['bigint', '9223372036854775807', 'bigint'],
      n: ['numeric', '-0.00000000000000000000000000000000000000123', 'numeric'],
      money: ['numeric(12,2)', '9999999999.90', 'numeric(12,2)'],
      nan: ['numeric', 'NaN', 'numeric'],
      f: ['double precision', '0.30000000000000004', 'double precision'],
      r: ['real', '3.4028235e+38', 'real'],
      at: ['timestamp with time zone', '2010-02-24 01:02:03.000001+00', 'timestamp with time zone'],
      day: ['date', '0044-03-15 BC', 'date'],
      bytes: ['bytea', '\\x00ff', 'bytea'],
      fixed: ['character(5)', 'a    ', 'character(5)'],
      list: ['text[]', '{"a b",NULL,"\\"",""}', 'text[]'],
      doc: ['jsonb', '{"a": [1.50, "x"]}', 'jsonb'],
      raw: ['json', '{"a":1.50,  "a":2}', 'json'],
      bits: ['bit varying(8)', '0101', 'bit varying(8)'],
      spell: ['interval', '1 year 2 mons -3 days +04:05:06', 'interval'],
      range: ['int4range', '[1,10)', 'int4range'],
      kind: ['"Kind of thing"', 'a', 'text'],
      shape: ['geometry(Point,4326)', '0101', 'text'],
      class: ['regclass', 'no_such_table', 'text'],
      span: ['span', '[1,2]', 'text'],
    };
    await client.query(`CREATE TYPE public.span AS RANGE (subtype = integer)`);
    const columns = Object.fromEntries(Object.entries(types).map(([name, [type]]) => [name, type]));
    const shape = shapeOf('every type', columns, ['id']);
    const row = Object.values(types).map(([, value]) => value);
    await apply([eventOf(shape, { op: 'c', after: row })]);
    assert.deepEqual(await rowsOf(shape), [JSON.stringify(row)]);
    const table = replica.live.tables.get(shape)!;
    assert.deepEqual(
      table.types,
      Object.values(types).map(([, , kept]) => kept),
    );
    await apply([
      eventOf(shape, {
        op: 'u',
        before: [row[0]!, ...row.slice(1).map(() => null)],
        after: ['1', ...row.slice(1).map((_, i) => (i === 8 ? UNCHANGED : row[i + 1]!))],
      }),
    ]);
    assert.deepEqual(
      await rowsOf(shape),
      [JSON.stringify(['1', ...row.slice(1)])],
      'char(n) keeps its blanks over a move',
    );
  });
});
