import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type CountedChange, createFold, type KeyedChange } from '../../src/consumer/fold.ts';
import { ShapeChanged } from '../../src/consumer/shape-difference.ts';
import { type ChangeEvent, UNCHANGED, type Value } from '../../src/kafka/change-event.ts';
import { eventOf, shapeOf } from './change-events.ts';
import { keyed, keyless, randomEvents, TableModel } from './table-model.ts';

describe('the fold of a table with a key', () => {
  test('has the same effect as its events one by one, wherever it is cut', () => {
    fc.assert(
      fc.property(randomEvents(keyed), fc.nat({ max: 20 }), (events, cut) => {
        const model = new TableModel(keyed);
        const folded = new TableModel(keyed);
        for (const part of [events.slice(0, cut), events.slice(cut)]) {
          const fold = createFold(keyed);
          for (const event of part) {
            model.apply(event);
            fold.add(event);
          }
          folded.applyKeyed(fold.change() as KeyedChange);
        }
        assert.deepEqual(folded.rows(), model.rows());
      }),
      { numRuns: 2_000 },
    );
  });

  test('a value that was not sent is taken from the row as it was folded', () => {
    const change = foldOf(keyed, [
      { op: 'c', after: ['1', '1', 'long', 'x'] },
      { op: 'u', after: ['1', '1', UNCHANGED, 'y'] },
    ]);
    assert.deepEqual(change.upserts, [{ key: ['1', '1'], row: ['1', '1', 'long', 'y'], source: null }]);
  });

  test('and stays a placeholder with the key that the row has in the database, over moves', () => {
    const change = foldOf(keyed, [
      { op: 'u', before: ['1', '1', null, null], after: ['2', '1', UNCHANGED, 'x'] },
      { op: 'u', before: ['2', '1', null, null], after: ['3', '1', UNCHANGED, 'y'] },
      { op: 'c', after: ['1', '1', 'other', 'z'] },
    ]);
    assert.deepEqual(change.deletes, [['2', '1']]);
    assert.deepEqual(change.upserts, [
      { key: ['1', '1'], row: ['1', '1', 'other', 'z'], source: null },
      { key: ['3', '1'], row: ['3', '1', UNCHANGED, 'y'], source: ['1', '1'] },
    ]);
  });

  test('with REPLICA IDENTITY FULL it stands in the old row', () => {
    const change = foldOf(keyed, [{ op: 'u', before: ['1', '1', 'long', 'x'], after: ['1', '1', UNCHANGED, 'y'] }]);
    assert.deepEqual(change.upserts[0]!.row, ['1', '1', 'long', 'y']);
  });

  test('behind a TRUNCATE there is no value to keep', () => {
    const change = foldOf(keyed, [{ op: 't' }, { op: 'u', after: ['1', '1', UNCHANGED, 'y'] }]);
    assert.equal(change.truncated, true);
    assert.equal(change.upserts[0]!.source, null);
  });

  test('events of another shape are refused', () => {
    const fold = createFold(keyed);
    const other = shapeOf('keyed', { a: 'integer' }, ['a']);
    assert.throws(() => fold.add(eventOf(other, { op: 'c', after: ['1'] })), ShapeChanged);
  });
});

describe('the fold of a table without a key', () => {
  test('counts rows as the events one by one do, wherever it is cut', () => {
    fc.assert(
      fc.property(randomEvents(keyless), fc.nat({ max: 20 }), (events, cut) => {
        const model = new TableModel(keyless);
        const folded = new TableModel(keyless);
        for (const part of [events.slice(0, cut), events.slice(cut)]) {
          const fold = createFold(keyless);
          for (const event of part) {
            model.apply(event);
            fold.add(event);
          }
          folded.applyCounted(fold.change() as CountedChange);
        }
        assert.deepEqual(folded.rows(), model.rows());
      }),
      { numRuns: 2_000 },
    );
  });

  test('tells NULL from an empty text, and columns apart', () => {
    const fold = createFold(keyless);
    const rows: Value[][] = [
      [null, '', 'ab', ''],
      ['', null, 'ab', ''],
      ['', '', 'a', 'b'],
      ['', '', 'ab', ''],
    ];
    for (const after of rows) fold.add(eventOf(keyless, { op: 'c', after }));
    const change = fold.change() as CountedChange;
    assert.equal(new Set(change.rows.map(({ hash }) => hash)).size, 4);
  });
});

function foldOf(shape: typeof keyed, events: Partial<ChangeEvent>[]): KeyedChange {
  const fold = createFold(shape);
  for (const event of events) fold.add(eventOf(shape, event as ChangeEvent));
  return fold.change() as KeyedChange;
}
