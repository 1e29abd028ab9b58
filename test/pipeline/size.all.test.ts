/** Smaller forms of `npm run bench:size`: what is large arrives whole, in bounded memory. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { backlog } from '../../bench/size/backlog.ts';
import { killedSnapshot } from '../../bench/size/killed-snapshot.ts';
import { largeRow } from '../../bench/size/large-row.ts';
import { largeTransaction } from '../../bench/size/large-transaction.ts';
import { type SizeCase, SizeRig } from '../../bench/size/size-rig.ts';

const MOST_BYTES = 400 * 1024 * 1024;

function assertSmall(rig: SizeRig): void {
  for (const [process, bytes] of rig.peaks) assert.ok(bytes < MOST_BYTES, `${process} needed ${bytes} bytes`);
}

describe('what is large', { timeout: 280_000 }, async () => {
  const row = largeRow(2 * 1024 * 1024);
  const rig = await SizeRig.start({ ...row.options, epsas: 300, without: ['reconciler'] });
  after(() => rig.end());

  const cases: Record<string, SizeCase> = {
    'a backlog while FASTAAPS is down': backlog(3_000),
    'a transaction of many rows': largeTransaction(40_000),
    'a row larger than usual, and one that needs another setting': row,
  };
  for (const [name, { run }] of Object.entries(cases)) {
    test(name, async () => {
      await run(rig);
      assertSmall(rig);
    });
  }
});

describe('a first load whose producer and consumer are killed half-way', { timeout: 280_000 }, async () => {
  const { options, run } = killedSnapshot(60_000);
  const rig = await SizeRig.start({ ...options, epsas: 60 });
  after(() => rig.end());

  test('goes on where it was', async () => {
    await run(rig);
    assertSmall(rig);
  });
});
