/** Keys that are equal though their texts differ: a change of the text alone must not lose the row. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import type pg from 'pg';
import { BatchWriter } from '../../src/consumer/batch-writer.ts';
import type { Replica } from '../../src/consumer/replica.ts';
import { type ChangeEvent, type TableShape, UNCHANGED, type Value } from '../../src/kafka/change-event.ts';
import { disconnect, TEXT_VALUES } from '../../src/postgres/session.ts';
import { testDatabase } from '../support/postgres.ts';
import { eventOf, shapeOf } from './change-events.ts';
import { blindConnector, createSync, readTable } from './sync-database.ts';

/** Texts of equal keys, for each type. */
const EQUAL: Record<string, readonly [string, string][]> = {
  numeric: [
    ['1', '1.0'],
    ['-2.50', '-2.5'],
  ],
  'double precision': [['0', '-0']],
  'character(4)': [['a', 'a   ']],
  bpchar: [['a', 'a ']],
  interval: [['1 day', '24:00:00']],
  jsonb: [['{"a": 1}', '{"a": 1.0}']],
  'numeric[]': [['{1,2}', '{1.0,2}']],
  numrange: [['[1,2)', '[1.0,2.00)']],
};

const database = await testDatabase();

describe('keys of equal values and other texts', () => {
  let client: pg.Client;
  let replica: Replica;
  let tables = 0;

  before(async () => {
    ({ client, replica } = await createSync(database.url, blindConnector('loose')));
  });
  after(() => disconnect(client));

  const tableOf = (type: string): TableShape => shapeOf(`t${++tables}`, { k: type, n: 'integer', long: 'text' }, ['k']);

  /** Each part is flushed by itself, all in one transaction. */
  async function apply(...parts: ChangeEvent[][]): Promise<void> {
    const writer = new BatchWriter(client, replica.live);
    for (const events of parts) {
      if (events.length > 0) writer.add(0, events);
      await writer.flush();
    }
    await writer.commit();
  }

  const rows = async (shape: TableShape): Promise<string[]> =>
    readTable(client, await replica.live.tables.ensure(client, shape));

  for (const [type, pairs] of Object.entries(EQUAL)) {
    test(`of type ${type}: the row takes the new text, in one batch or in several`, async () => {
      for (const [one, other] of pairs) {
        const shape = tableOf(type);
        const key = (text: string): Value[] => [text, null, null];
        const update = (from: string, to: string, n: string) =>
          eventOf(shape, { op: 'u', before: from === to ? null : key(from), after: [to, n, UNCHANGED] });
        const expected = async (n: string, text: string) => {
          const { rows: kept } = await client.query({
            text: `SELECT $1::text::${type} AS k`,
            values: [text],
            types: TEXT_VALUES,
          });
          assert.deepEqual(await rows(shape), [JSON.stringify([kept[0].k, n, 'long'])]);
        };
        await apply([eventOf(shape, { op: 'c', after: [one, '1', 'long'] })]);
        await apply([update(one, other, '2')]);
        await expected('2', other);
        await apply([update(other, one, '3'), update(one, other, '4')]);
        await expected('4', other);
        await apply([update(other, one, '5')], [update(one, other, '6')], [update(other, one, '7')]);
        await expected('7', one);
        // Gone and there again in another text.
        await apply([
          eventOf(shape, { op: 'd', before: key(one) }),
          eventOf(shape, { op: 'c', after: [other, '8', 'long'] }),
        ]);
        await expected('8', other);
        // A row that is read again takes the text that it has in SIIRAyS.
        await apply([eventOf(shape, { op: 'r', after: [one, '9', 'long'] })]);
        await expected('9', one);
        await apply([eventOf(shape, { op: 'd', before: key(one) })]);
        assert.deepEqual(await rows(shape), []);
        assert.equal(await replica.live.incomplete.count(client), 0);
      }
    });
  }

  test('in any order of changes, cut anywhere', async () => {
    const texts = ['1', '1.0', '1.00', '2', '2.0'];
    const step = fc.record({ from: fc.constantFrom(...texts), to: fc.constantFrom(...texts), long: fc.boolean() });
    const cuts = fc.array(fc.nat({ max: 12 }), { maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), cuts, async (steps, at) => {
        const shape = tableOf('numeric');
        const events: ChangeEvent[] = [];
        /** What SIIRAyS holds: by value, since there `1` and `1.0` are one key. */
        const held = new Map<number, [key: string, n: string, long: string]>();
        steps.forEach(({ from, to, long }, i) => {
          const old = held.get(Number(from));
          const n = String(i);
          if (!old) {
            held.set(Number(from), [from, n, 'x']);
            events.push(eventOf(shape, { op: 'c', after: [from, n, 'x'] }));
          } else if (Number(from) !== Number(to) && held.has(Number(to))) {
            held.delete(Number(from));
            events.push(eventOf(shape, { op: 'd', before: [old[0], null, null] }));
          } else {
            held.delete(Number(from));
            held.set(Number(to), [to, n, long ? n : old[2]]);
            const before: Value[] | null = old[0] === to ? null : [old[0], null, null];
            events.push(eventOf(shape, { op: 'u', before, after: [to, n, long ? n : UNCHANGED] }));
          }
        });
        const ends = [0, ...at, 12].sort((a, b) => a - b);
        await apply(...ends.map((end, i) => events.slice(ends[i - 1] ?? 0, end)));
        assert.deepEqual(await rows(shape), [...held.values()].map((row) => JSON.stringify(row)).sort());
        assert.equal(await replica.live.incomplete.count(client), 0);
      }),
      { numRuns: 150 },
    );
  });

  test('a row that lacks a value still lacks it under its next key', async () => {
    const shape = tableOf('integer');
    const { incomplete } = replica.live;
    await apply([eventOf(shape, { op: 'u', after: ['1', '1', UNCHANGED] })]);
    await apply([eventOf(shape, { op: 'u', before: ['1', null, null], after: ['2', '1', UNCHANGED] })]);
    assert.deepEqual(await incomplete.keys(client), [
      { table: { schema: 'public', table: shape.table }, keys: [['2']] },
    ]);
    await apply([eventOf(shape, { op: 'r', after: ['2', '1', 'long'] })]);
    assert.equal(await incomplete.count(client), 0);
  });
});
