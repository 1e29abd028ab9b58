import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeSignal, encodeSignal, type Signal } from '../../src/kafka/signal.ts';

const SNAPSHOT: Signal = { id: 'a', kind: 'snapshot', connector: 'epsa', tables: ['public.epsa'] };
const ROWS: Signal = {
  id: 'b',
  kind: 'rows',
  connector: 'epsa',
  table: 'public.epsa',
  keys: [
    ['1', ''],
    ['ñ', '2'],
  ],
};

function decoded(json: unknown): Signal | null {
  return decodeSignal(Buffer.from(JSON.stringify(json)));
}

describe('signals', () => {
  test('are read as they were written', () => {
    for (const signal of [SNAPSHOT, ROWS]) {
      assert.deepEqual(decodeSignal(Buffer.from(encodeSignal(signal).value)), signal);
      assert.equal(encodeSignal(signal).key, 'epsa');
    }
  });

  test('that are none are passed over', () => {
    assert.equal(decodeSignal(null), null);
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((text) => Buffer.from(text)),
        ),
        (bytes) => {
          assert.equal(decodeSignal(Buffer.from(bytes)), null);
        },
      ),
    );
  });

  test('with something wrong in them are passed over', () => {
    const wrong = [
      { ...SNAPSHOT, id: '' },
      { ...SNAPSHOT, id: 'x'.repeat(201) },
      { ...SNAPSHOT, kind: 'other' },
      { ...SNAPSHOT, tables: [] },
      { ...SNAPSHOT, tables: 'public.epsa' },
      { ...ROWS, keys: [] },
      { ...ROWS, keys: [[]] },
      { ...ROWS, keys: [[1]] },
      { ...ROWS, keys: [[null]] },
      { ...ROWS, keys: Array.from({ length: 10_001 }, () => ['1']) },
      { ...ROWS, table: undefined },
    ];
    for (const signal of wrong) assert.equal(decoded(signal), null, JSON.stringify(signal).slice(0, 80));
  });
});
