import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DeliveredXids } from '../../src/producer/delivered-xids.ts';
import { parseXidSnapshot, sees, widenXid } from '../../src/producer/xid-snapshot.ts';

const CIRCLE = 2n ** 32n;
const low = (xid: bigint): number => Number(xid % CIRCLE);

describe('snapshots and transaction ids', () => {
  test('are read as PostgreSQL writes them', () => {
    assert.deepEqual(parseXidSnapshot('10:20:10,14'), { xmin: 10n, xmax: 20n, inProgress: new Set([10n, 14n]) });
    assert.deepEqual(parseXidSnapshot('8589934600:8589934600:'), {
      xmin: 8_589_934_600n,
      xmax: 8_589_934_600n,
      inProgress: new Set(),
    });
    for (const text of ['', '10', '10:20', 'a:b:c']) assert.throws(() => parseXidSnapshot(text), text);
  });

  test('a 32-bit id is the one of the last half circle', () => {
    const wide = fc.bigInt({ min: 2n ** 33n, max: 2n ** 50n });
    const distance = fc.bigInt({ min: -(2n ** 31n) + 1n, max: 2n ** 31n - 1n });
    fc.assert(
      fc.property(wide, distance, (near, away) => {
        assert.equal(widenXid(low(near + away), near), near + away);
      }),
    );
    assert.equal(widenXid(5, CIRCLE - 3n), CIRCLE + 5n);
    assert.equal(widenXid(4_294_967_290, CIRCLE + 3n), 4_294_967_290n);
  });

  test('sees what had ended, and nothing else, at the turn of the circle too', () => {
    for (const base of [1_000n, CIRCLE, 5n * CIRCLE]) {
      const snapshot = { xmin: base - 4n, xmax: base + 3n, inProgress: new Set([base - 4n, base + 1n]) };
      const seen = [-6n, -5n, -4n, -3n, 0n, 1n, 2n, 3n, 4n].filter((n) => sees(snapshot, low(base + n)));
      assert.deepEqual(seen, [-6n, -5n, -3n, 0n, 2n]);
    }
  });
});

describe('delivered transactions', () => {
  const snapshot = { xmin: 10n, xmax: 20n, inProgress: new Set([10n, 15n]) };

  test('are forgotten once a snapshot has seen them, one by one, however old the oldest open one is', () => {
    const delivered = new DeliveredXids([9, 10]);
    for (const xid of [14, 15, 19, 20, 25]) delivered.add(xid);
    assert.equal(delivered.size, 7);
    assert.ok(delivered.anyUnseen(snapshot));
    delivered.forgetSeen(snapshot);
    assert.deepEqual(delivered.list(), [10, 15, 20, 25]);
    delivered.forgetSeen({ xmin: 30n, xmax: 30n, inProgress: new Set() });
    assert.deepEqual(delivered.list(), []);
  });

  test('are not kept where the newest snapshot has seen them before they came', () => {
    const delivered = new DeliveredXids();
    delivered.forgetSeen(snapshot);
    delivered.forgetSeen({ xmin: 3n, xmax: 3n, inProgress: new Set() });
    for (const xid of [9, 15, 19, 20]) delivered.add(xid);
    assert.deepEqual(delivered.list(), [15, 20]);
  });

  test('of a copy stay what they were', () => {
    const delivered = new DeliveredXids([15]);
    const copy = delivered.copy();
    delivered.add(16);
    assert.deepEqual(copy.list(), [15]);
    assert.ok(copy.anyUnseen(snapshot));
    assert.ok(!copy.anyUnseen({ xmin: 16n, xmax: 16n, inProgress: new Set() }));
  });
});
