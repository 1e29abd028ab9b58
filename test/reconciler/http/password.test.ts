import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { hashPassword, matches, parsePasswordHash } from '../../../src/reconciler/http/password.ts';

const CHEAP = { N: 2, r: 1, p: 1 };

describe('a hashed password', () => {
  it('is matched by the password only', async () => {
    const text = await hashPassword('ñandú');
    assert.match(text, /^scrypt:32768:8:3:[A-Za-z0-9+/=]{24}:[A-Za-z0-9+/=]{44}$/);
    const hash = parsePasswordHash(text)!;
    assert.equal(await matches('ñandú', hash), true);
    assert.equal(await matches('ñandú'.normalize('NFD'), hash), true, 'however the keyboard writes it');
    assert.equal(await matches('nandu', hash), false);
    assert.equal(await matches('', hash), false);
  });

  it('has a salt of its own', async () => {
    assert.notEqual(await hashPassword('a', CHEAP), await hashPassword('a', CHEAP));
  });

  it('is told from a plain one, and refused where it cannot be read', () => {
    assert.equal(parsePasswordHash('plain'), null);
    const wrong = [
      'scrypt:',
      'scrypt:3:8:1:YWFhYWFhYWE=:YWFhYWFhYWFhYWFhYWFhYWFh',
      'scrypt:16777216:8:1:YWFhYWFhYWE=:YWFhYWFhYWFhYWFhYWFhYWFh',
    ];
    for (const text of wrong) assert.throws(() => parsePasswordHash(text), /must be scrypt:N:r:p:salt:hash/);
  });
});
