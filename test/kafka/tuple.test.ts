import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { fillUnchanged, hasUnchanged, tupleEnd, tupleKey, tupleOf } from '../../src/kafka/tuple.ts';
import { tuple, valuesOf } from '../producer/pgoutput-messages.ts';

const text = fc
  .oneof(fc.string({ unit: 'binary' }), fc.constantFrom('', '\0', 'n', 't', 'u', 'ñ🦙'))
  .map((t) => t.toWellFormed());
const value = fc.option(text, { nil: null });
const sent = fc.oneof(value, fc.constant(undefined));

describe('rows as PostgreSQL sends them', () => {
  test('are made of texts', () => {
    fc.assert(
      fc.property(fc.array(value), (values) => {
        assert.deepEqual(tupleOf(values), tuple(values));
        assert.deepEqual(valuesOf(tupleOf(values)), values);
      }),
    );
  });

  test('end where they end, with others around them', () => {
    fc.assert(
      fc.property(fc.array(sent), fc.uint8Array(), fc.uint8Array(), (values, before, after) => {
        const row = tuple(values);
        const buffer = Buffer.concat([before, row, after]);
        assert.equal(tupleEnd(buffer, before.length), before.length + row.length);
      }),
    );
  });

  test('have a key that tells all rows apart, NULL from empty and unchanged, and no column from its neighbours', () => {
    const three = fc.tuple(sent, sent, sent);
    fc.assert(
      fc.property(three, three, (a, b) => {
        const same = a[0] === b[0] && a[2] === b[2];
        assert.equal(tupleKey(tuple(a), [0, 2]) === tupleKey(tuple(b), [0, 2]), same);
        assert.equal(tupleKey(tuple(a), [0, 2]), tupleKey(Buffer.from(tuple(a)), [0, 2]));
      }),
      { numRuns: 500 },
    );
    const keys = [
      ['ab', 'c'],
      ['a', 'bc'],
      [null, 'c'],
      ['', 'c'],
      [undefined, 'c'],
      ['n', 'c'],
    ];
    assert.equal(new Set(keys.map((row) => tupleKey(tuple(row), [0, 1]))).size, keys.length);
  });

  test('take the old values where the new ones were left out', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(sent, value)), (pairs) => {
        const next = tuple(pairs.map(([after]) => after));
        const old = tuple(pairs.map(([, before]) => before));
        assert.equal(
          hasUnchanged(next),
          pairs.some(([after]) => after === undefined),
        );
        assert.deepEqual(
          valuesOf(fillUnchanged(next, old)),
          pairs.map(([after, before]) => (after === undefined ? before : after)),
        );
      }),
    );
  });
});
