import assert from 'node:assert/strict';
import { it } from 'node:test';
import { restartDelay } from '../../embedded/restart-delay.ts';

it('starts a part again at once the first time, then with longer waits up to 5 s', () => {
  const delays = [0, 1, 2, 3, 4, 5, 6, 100].map(restartDelay);
  assert.equal(delays[0], 0);
  assert.deepEqual(
    delays,
    delays.toSorted((a, b) => a - b),
  );
  assert.equal(delays.at(-1), 5000);
});
