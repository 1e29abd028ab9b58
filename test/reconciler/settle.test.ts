import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Candidate } from '../../src/reconciler/comparison.ts';
import { settle } from '../../src/reconciler/settle.ts';

/** A side that shows, look after look, what the test has written down for each key; null: equal by then. */
function looks(script: Record<string, (string | null)[]>) {
  let number = 0;
  return {
    look: async (open: readonly Candidate[]): Promise<Candidate[]> => {
      const at = number++;
      return open.flatMap(({ key }) => {
        const pair = script[key]![at] ?? null;
        return pair === null ? [] : [candidate(key, pair)];
      });
    },
  };
}

/** `!` at its end: something is on its way. */
function candidate(key: string, pair: string): Candidate {
  return { key, pair, pending: pair.endsWith('!') };
}

const passes = async (): Promise<boolean> => true;
const never = async (): Promise<boolean> => false;

describe('settling candidates', () => {
  test('the same pair twice, the other side having come along, is a difference', async () => {
    const { confirmed, stale } = await settle(looks({ a: ['x'] }), [candidate('a', 'x')], passes);
    assert.deepEqual([confirmed.map(({ key }) => key), stale], [['a'], []]);
  });

  test('what is equal at the second look was on its way', async () => {
    const { confirmed, stale } = await settle(looks({ a: [null] }), [candidate('a', 'x')], passes);
    assert.deepEqual([confirmed, stale], [[], []]);
  });

  test('another pair is looked at again, five looks at most', async () => {
    const script = { a: ['y', 'y'], b: ['y', 'z', 'x', 'y'], c: ['y', 'z', null] };
    const all = Object.keys(script).map((key) => candidate(key, 'x'));
    const { confirmed, stale } = await settle(looks(script), all, passes);
    assert.deepEqual(
      [confirmed, stale].map((list) => list.map(({ key }) => key)),
      [['a'], ['b']],
    );
  });

  test('what somebody has accepted as it is, is settled so', async () => {
    const look = async (open: readonly Candidate[]) => open.map((one) => ({ ...one, setAside: one.key === 'a' }));
    const { confirmed, stale, setAside } = await settle({ look }, [candidate('a', 'x!'), candidate('b', 'x')], passes);
    assert.deepEqual(
      [confirmed, stale, setAside].map((list) => list.map(({ key }) => key)),
      [['b'], [], ['a']],
    );
  });

  test('without the other side having come along nothing is a difference', async () => {
    const { confirmed, stale } = await settle(looks({ a: ['x', 'x', 'x', 'x'] }), [candidate('a', 'x')], never);
    assert.deepEqual([confirmed.length, stale.length], [0, 1]);
  });

  test('a side that does not come along is not waited for five times', async () => {
    let waited = 0;
    const pass = async (): Promise<boolean> => {
      waited += 1;
      return false;
    };
    const { passed, stale } = await settle(looks({ a: ['x', 'x', 'x', 'x'] }), [candidate('a', 'x')], pass);
    assert.deepEqual([waited, passed, stale.length], [2, false, 1]);
  });

  test('what waits to be delivered is no difference, and neither is the first look after that', async () => {
    const { confirmed, stale } = await settle(looks({ a: ['x!', 'x', null] }), [candidate('a', 'x!')], passes);
    assert.deepEqual([confirmed, stale], [[], []]);
  });

  test('a confirmed one has been seen the same at two looks in a row with a pass between them', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom('x', 'y', 'x!', null), fc.boolean()), { minLength: 4, maxLength: 4 }),
        async (steps) => {
          const passed = steps.map(([, pass]) => pass);
          let at = 0;
          const pairs = steps.map(([pair]) => pair);
          const { confirmed } = await settle(looks({ a: pairs }), [candidate('a', 'x')], async () => passed[at++]!);
          const seen = ['x', ...pairs];
          const ended = seen.indexOf(null);
          // Two looks in a row without a pass end it.
          const givenUp = passed.findIndex((pass, i) => !pass && i > 0 && !passed[i - 1]);
          const proof = pairs.findIndex(
            (pair, i) => passed[i] && pair === seen[i] && pair !== null && !pair.endsWith('!'),
          );
          const inTime = givenUp === -1 || proof < givenUp;
          assert.equal(confirmed.length === 1, proof !== -1 && inTime && (ended === -1 || proof + 1 < ended));
        },
      ),
    ));
});
