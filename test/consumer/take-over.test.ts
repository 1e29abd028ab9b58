import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Lease, mayTakeOver, type WatchedLease, watchLease } from '../../src/consumer/take-over.ts';

const TIMEOUT = 3_000;

/** What happens to the lease between two looks of a standby. */
type Happening = { afterMs: number; what: 'nothing' | 'renewed' | 'taken by another' };

const happenings: fc.Arbitrary<Happening[]> = fc.array(
  fc.record({
    afterMs: fc.integer({ min: 1, max: 1_500 }),
    what: fc.constantFrom('nothing' as const, 'nothing' as const, 'renewed' as const, 'taken by another' as const),
  }),
  { maxLength: 60 },
);

describe('taking over', () => {
  test('happens exactly when the lease has not moved for the whole timeout of the standby’s own clock', () => {
    fc.assert(
      fc.property(happenings, fc.integer({ min: 0, max: 1e9 }), (list, start) => {
        let now = start;
        let lease: Lease = { token: '7', holder: 'other', renewals: '0' };
        let moved = now;
        let watched: WatchedLease | null = watchLease(null, lease, now);
        for (const { afterMs, what } of list) {
          now += afterMs;
          if (what === 'renewed') lease = { ...lease, renewals: String(Number(lease.renewals) + 1) };
          if (what === 'taken by another')
            lease = { token: String(Number(lease.token) + 1), holder: 'third', renewals: '0' };
          if (what !== 'nothing') moved = now;
          watched = watchLease(watched, lease, now);
          assert.equal(mayTakeOver(watched, 'me', now, TIMEOUT), now - moved >= TIMEOUT);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('the same instance started again, and a token that was given back, are taken at once', () => {
    const mine = watchLease(null, { token: '7', holder: 'me', renewals: '5' }, 0);
    const given = watchLease(null, { token: '7', holder: null, renewals: '5' }, 0);
    const theirs = watchLease(null, { token: '7', holder: 'other', renewals: '5' }, 0);
    assert.deepEqual(
      [mine, given, theirs].map((watched) => mayTakeOver(watched, 'me', 0, TIMEOUT)),
      [true, true, false],
    );
  });
});
