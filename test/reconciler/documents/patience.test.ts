import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FastaapsError } from '../../../src/fastaaps/errors.ts';
import { patiently } from '../../../src/reconciler/documents/patience.ts';

describe('asking FASTAAPS', () => {
  test('goes on after an error that passes by itself', async () => {
    let asked = 0;
    const answer = await patiently(async () => {
      asked += 1;
      if (asked === 1) throw new FastaapsError('retry', 'busy', { status: 503 });
      return 'answer';
    });
    assert.deepEqual([answer, asked], ['answer', 2]);
  });

  test('ends with an error that does not, and with the reason of its signal', async () => {
    let asked = 0;
    const refuse = async (): Promise<never> => {
      asked += 1;
      throw new FastaapsError('configuration', 'no password', { status: 401 });
    };
    await assert.rejects(patiently(refuse), /no password/);
    assert.equal(asked, 1);
    const aborting = new AbortController();
    const abort = async (): Promise<never> => {
      aborting.abort(new Error('cancelled'));
      throw new FastaapsError('retry', 'the connection was closed');
    };
    await assert.rejects(patiently(abort, aborting.signal), /^Error: cancelled/);
  });
});
