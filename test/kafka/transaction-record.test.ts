import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeTransactionRecord, encodeTransactionRecord } from '../../src/kafka/transaction-record.ts';

/** Plain objects, as the decoder makes them. */
const PLAIN = { noNullPrototype: true };

describe('records of the transaction topic', () => {
  test('are read as they were written, 64-bit numbers included', () => {
    const int64 = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(String);
    const count = fc.nat();
    const record = fc.record(
      {
        status: fc.constantFrom('BEGIN' as const, 'END' as const),
        history: count,
        seq: int64,
        kind: fc.constantFrom('stream' as const, 'chunk' as const, 'snapshot' as const),
        id: fc.string(),
        eventCount: fc.option(count, { nil: null }),
        dataCollections: fc.option(fc.array(fc.record({ dataCollection: fc.string(), eventCount: count }, PLAIN)), {
          nil: null,
        }),
        tsMs: fc.integer({ min: -1, max: 4_102_444_800_000 }),
        endLsn: int64,
        snapshot: fc.option(
          fc.record({ requestId: fc.string(), connector: fc.string(), tables: fc.array(fc.string()) }, PLAIN),
          { nil: null },
        ),
      },
      PLAIN,
    );
    fc.assert(
      fc.property(record, fc.nat(), (written, id) => {
        const { key, value } = encodeTransactionRecord(written, { key: id, value: id + 1 });
        assert.deepEqual(decodeTransactionRecord(value), written);
        assert.deepEqual([key[0], key.readUInt32BE(1), value.readUInt32BE(1)], [0, id, id + 1]);
      }),
    );
  });

  test('tell which tables are no longer what they were, whatever their names hold', () => {
    const shapes = [
      { table: 'public.a b', fingerprint: '0123456789abcdef' },
      { table: 'public. ñ', fingerprint: null },
    ];
    const rest = { eventCount: null, dataCollections: null, tsMs: 1, endLsn: '7', snapshot: null } as const;
    const record = { status: 'END', history: 1, seq: '3', kind: 'shape', id: 'shape:1:3', ...rest, shapes } as const;
    const { value } = encodeTransactionRecord(record, { key: 1, value: 2 });
    assert.deepEqual({ ...decodeTransactionRecord(value) }, record);
  });
});
