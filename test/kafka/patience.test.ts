import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { patiently } from '../../src/kafka/patience.ts';

/** Fails with these types, one a call, and gives 'done' then. */
function answers(...types: string[]): () => Promise<string> {
  return async () => {
    const type = types.shift();
    if (type !== undefined) throw Object.assign(new Error(type), { type });
    return 'done';
  };
}

describe('asking a broker patiently', () => {
  test('goes on while the broker is not ready yet', async () => {
    assert.equal(await patiently(answers('NOT_LEADER_FOR_PARTITION', 'GROUP_LOAD_IN_PROGRESS')), 'done');
  });

  test('gives every other answer at once', async () => {
    const ask = answers('TOPIC_AUTHORIZATION_FAILED');
    await assert.rejects(patiently(ask), /TOPIC_AUTHORIZATION_FAILED/);
    assert.equal(await ask(), 'done', 'it was asked once');
  });

  test('gives the last answer when its patience is over', async () => {
    const endless = Array.from({ length: 1_000 }, () => 'LEADER_NOT_AVAILABLE');
    await assert.rejects(patiently(answers(...endless), 100), /LEADER_NOT_AVAILABLE/);
  });
});
