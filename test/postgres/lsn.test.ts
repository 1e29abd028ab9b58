import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { formatLsn, parseLsn } from '../../src/postgres/lsn.ts';

describe('LSNs', () => {
  test('are written as PostgreSQL writes them, and read back, over all 64 bits', () => {
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (lsn) => parseLsn(formatLsn(lsn)) === lsn));
    assert.equal(formatLsn(0x16b374d848n), '16/B374D848');
    assert.equal(formatLsn(2n ** 32n), '1/0');
    assert.equal(parseLsn('FFFFFFFF/FFFFFFFF'), 2n ** 64n - 1n);
    assert.equal(parseLsn('0/16b3748'), 0x16b3748n);
  });

  test('that are none are refused', () => {
    for (const text of ['', '/', '1', '1/', '/1', 'G/1', '1/123456789', '123456789/1', ' 1/1', '1/1 ', '-1/1']) {
      assert.throws(() => parseLsn(text), RangeError, text);
    }
  });
});
