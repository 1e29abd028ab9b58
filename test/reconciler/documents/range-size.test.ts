import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RangeSize } from '../../../src/reconciler/documents/range-size.ts';

/** Sizes of the ranges that so many documents are cut into, where each takes so long. */
function sizes(documents: number, msPerDocument: number): number[] {
  const size = new RangeSize(500, 2);
  const given: number[] = [];
  for (let left = documents; left > 0; ) {
    const taken = Math.min(left, size.next(left));
    size.took(taken, taken * msPerDocument);
    given.push(taken);
    left -= taken;
  }
  return given;
}

test('ranges take as long as they should, and sessions share the last of them evenly', () => {
  assert.deepEqual(sizes(3_000, 0.15), [1_500, 1_500]);
  assert.deepEqual(sizes(700, 0.15), [350, 350]);
  assert.deepEqual(sizes(5, 0.15), [5]);
  assert.deepEqual(sizes(10_000, 0.15), [1_500, 3_000, 2_750, 2_750]);
  assert.deepEqual(sizes(3_500, 1), [1_500, 500, 500, 500, 300, 200]);
  assert.deepEqual(sizes(2_500, 100), [1_250, 300, 300, 300, 300, 50]);
});
