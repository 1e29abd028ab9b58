import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RangeSize } from '../../../src/reconciler/direct/range-size.ts';

/** The sizes of ranges on a server where a range costs so much, and each document more. */
function sizes(fixedMs: number, eachMs: number, ranges = 12): number[] {
  const size = new RangeSize(500);
  return Array.from({ length: ranges }, () => {
    const { documents } = size;
    size.took(documents, fixedMs + eachMs * documents);
    return documents;
  });
}

test('ranges grow step by step to the time that is aimed at', () => {
  assert.deepEqual(sizes(10, 0.2).slice(0, 2), [500, 1_000]);
  assert.equal(sizes(10, 0.2).at(-1), 2_450);
  assert.equal(sizes(0, 0.0001).at(-1), 10_000, 'but not beyond what is held');
});

test('ranges take no fewer documents than make them cheaper', () => {
  assert.equal(sizes(300, 5).at(-1), 500);
  assert.equal(sizes(8_000, 1).at(-1), 8_000, 'documents take as long as what is fixed');
});

test('ranges become smaller when the server is slower, and recover', () => {
  const size = new RangeSize(500);
  const range = (factor: number): number => {
    const { documents } = size;
    size.took(documents, factor * (10 + 0.2 * documents));
    return documents;
  };
  for (let n = 0; n < 10; n++) range(1);
  assert.ok(range(1) > 2_000);
  for (let n = 0; n < 10; n++) range(6);
  assert.ok(range(6) < 1_000);
  for (let n = 0; n < 10; n++) range(1);
  assert.ok(range(1) > 2_000);
});

test('an empty range, or one that took no time, teaches nothing wrong', () => {
  const size = new RangeSize(500);
  size.took(0, 12);
  assert.equal(size.documents, 500);
  size.took(500, 0);
  size.took(1_000, 0);
  size.took(1_000, 0);
  size.took(1_000, 100);
  assert.ok(size.documents >= 500 && size.documents <= 10_000, `${size.documents}`);
});
