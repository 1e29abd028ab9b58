import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Chunk, type ChunkRead, type HeldChange } from '../../src/producer/chunk.ts';
import { DeliveredXids } from '../../src/producer/delivered-xids.ts';
import { shapeOf } from './fake-writer.ts';
import { type Texts, tuple, valuesOf } from './pgoutput-messages.ts';

const SHAPE = shapeOf('t', ['id', 'v']);
const SEEN = 5;
const UNSEEN = 25;

function read(rows: Texts[], shape = SHAPE): ChunkRead {
  return { shape, rows: rows.map(tuple), snapshot: { xmin: 10n, xmax: 20n, inProgress: new Set() }, barrier: 100n };
}

function change(op: HeldChange['op'], before: Texts | null, after: Texts | null, shape = SHAPE): HeldChange {
  return { op, shape: shape.fingerprint, before: before && tuple(before), after: after && tuple(after) };
}

function held(rows: Texts[], shape = SHAPE): Chunk {
  const chunk = new Chunk('public.t', 1_000);
  assert.ok(chunk.arrive(read(rows, shape), new DeliveredXids()));
  return chunk;
}

const rowsOf = (chunk: Chunk) => [...chunk.rows()].map(valuesOf).sort();

describe('a held chunk', () => {
  test('with a key takes what its snapshot has not seen', () => {
    const chunk = held([
      ['1', 'a'],
      ['2', 'b'],
      ['3', 'c'],
    ]);
    chunk.change(SEEN, change('d', ['1', null], null));
    chunk.change(UNSEEN, change('u', null, ['1', undefined]));
    chunk.change(UNSEEN, change('u', ['2', null], ['7', undefined]));
    chunk.change(UNSEEN, change('d', ['3', null], null));
    assert.deepEqual(rowsOf(chunk), [
      ['1', 'a'],
      ['7', 'b'],
    ]);
    chunk.change(UNSEEN, change('t', null, null));
    assert.deepEqual(rowsOf(chunk), []);
  });

  test('without a key is a multiset', () => {
    const chunk = held(
      [
        ['1', 'a'],
        ['1', 'a'],
        ['2', 'b'],
      ],
      shapeOf('t', ['id', 'v'], []),
    );
    const shape = shapeOf('t', ['id', 'v'], []);
    chunk.change(UNSEEN, change('d', ['1', 'a'], null, shape));
    chunk.change(UNSEEN, change('u', ['2', 'b'], ['1', undefined], shape));
    chunk.change(UNSEEN, change('c', null, ['1', 'a'], shape));
    assert.deepEqual(rowsOf(chunk), [
      ['1', 'a'],
      ['1', 'a'],
      ['1', 'b'],
    ]);
  });

  test('knows absent keys, until the stream brings them', () => {
    const chunk = new Chunk('public.t', 1_000);
    assert.ok(chunk.arrive(read([['1', 'a']]), new DeliveredXids(), [tuple(['8', null]), tuple(['9', null])]));
    chunk.change(UNSEEN, change('c', null, ['8', 'x']));
    assert.deepEqual(chunk.absent().map(valuesOf), [['9', null]]);
  });

  test('is read again where a row came that may be an absent key in another text', () => {
    const numeric = { ...SHAPE, columns: [{ name: 'id', type: 'numeric' }, ...SHAPE.columns.slice(1)] };
    const absent = [tuple(['1', null])];
    const spoilt = (...changes: Parameters<typeof change>[]): boolean => {
      const chunk = new Chunk('public.t', 1_000);
      assert.ok(chunk.arrive({ ...read([['2', 'a']]), shape: numeric }, new DeliveredXids(), absent));
      for (const one of changes) chunk.change(UNSEEN, change(...one));
      return !chunk.fits;
    };
    assert.ok(spoilt(['c', null, ['1.0', 'x']]));
    assert.ok(spoilt(['u', ['2', null], ['1.0', 'x']]));
    assert.ok(!spoilt(['u', null, ['2', 'x']], ['u', ['2', 'x'], ['2', 'y']], ['d', ['2', null], null]));
  });

  test('is read again where more changed during the read than may be kept', () => {
    const chunk = new Chunk('public.t', 1_000);
    for (let i = 0; i < 20; i++) chunk.change(UNSEEN, change('c', null, ['8', 'x'.repeat(50)]));
    assert.equal(chunk.arrive(read([]), new DeliveredXids()), false);
  });

  test('is read again where a transaction that was delivered before is not in it', () => {
    assert.equal(new Chunk('public.t', 1_000).arrive(read([]), new DeliveredXids([UNSEEN])), false);
    assert.equal(new Chunk('public.t', 1_000).arrive(read([]), new DeliveredXids([SEEN])), true);
  });

  test('has a barrier that is only lowered', () => {
    const chunk = new Chunk('public.t', 1_000);
    assert.equal(chunk.barrier, null);
    chunk.arrive(read([]), new DeliveredXids());
    chunk.lowerBarrier(120n);
    assert.equal(chunk.barrier, 100n);
    chunk.lowerBarrier(90n);
    assert.equal(chunk.barrier, 90n);
  });

  describe('whose table changes its shape', () => {
    const other = shapeOf('t', ['id', 'v', 'w']);

    test('fits where the stream has described the table as it was read, or not at all', () => {
      const chunk = held([['1', 'a']]);
      assert.ok(chunk.fits);
      chunk.describe(SHAPE.fingerprint);
      assert.ok(chunk.fits);
    });

    test('does not fit where it has been described otherwise since, even if it is as before now', () => {
      const chunk = new Chunk('public.t', 1_000);
      chunk.describe(other.fingerprint);
      chunk.arrive(read([['1', 'a']]), new DeliveredXids());
      chunk.describe(SHAPE.fingerprint);
      assert.ok(!chunk.fits);
    });

    test('takes no change of another shape, and does not fit any more', () => {
      const chunk = held([['1', 'a']]);
      chunk.change(UNSEEN, change('u', null, ['1', 'b', 'c'], other));
      assert.ok(!chunk.fits);
      const early = new Chunk('public.t', 1_000);
      early.change(UNSEEN, change('u', null, ['1', 'b', 'c'], other));
      assert.equal(early.arrive(read([['1', 'a']]), new DeliveredXids()), false);
    });

    test('is not bothered by an older shape of what it has seen', () => {
      const chunk = held([['1', 'a']]);
      chunk.change(SEEN, change('u', null, ['1', 'b', 'c'], other));
      assert.ok(chunk.fits);
    });
  });
});
