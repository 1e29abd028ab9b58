import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { LoginGuard } from '../../../src/reconciler/http/login-guard.ts';

let now = 0;
let guard: LoginGuard;

beforeEach(() => {
  now = 1_000;
  guard = new LoginGuard({ failures: 5, windowMs: 60_000, now: () => now });
});

function fail(address: string, name: string, times = 5): void {
  for (let i = 0; i < times; i++) guard.tried(address, name);
}

describe('the guard against guessing', () => {
  it('closes an address after five failures, until the first is a minute old', () => {
    fail('10.0.0.1', 'a', 4);
    assert.equal(guard.judge('10.0.0.1', 'b').kind, 'try');
    now += 10_000;
    fail('10.0.0.1', 'b', 1);
    assert.deepEqual(guard.judge('10.0.0.1', 'a'), { kind: 'refused', retryAfterS: 50 });
    now += 50_000;
    assert.equal(guard.judge('10.0.0.1', 'a').kind, 'try');
  });

  it('lets another name have one quiet try from a closed address', () => {
    fail('10.0.0.1', 'a');
    assert.deepEqual(guard.judge('10.0.0.1', 'b'), { kind: 'quietly', retryAfterS: 60 });
    guard.tried('10.0.0.1', 'b');
    assert.equal(guard.judge('10.0.0.1', 'b').kind, 'refused');
  });

  it('closes a name from everywhere but where it was right before', () => {
    guard.right('10.0.0.9', 'a');
    for (let i = 1; i <= 5; i++) fail(`10.0.0.${i}`, 'a', 1);
    assert.equal(guard.judge('10.0.0.6', 'a').kind, 'refused');
    assert.equal(guard.judge('10.0.0.9', 'a').kind, 'try');
    fail('10.0.0.9', 'a');
    assert.equal(guard.judge('10.0.0.9', 'a').kind, 'refused', 'nor is guessing free there');
  });

  it('judges who is known from a closed address by itself', () => {
    guard.right('10.0.0.1', 'b');
    fail('10.0.0.1', 'a');
    for (let i = 0; i < 20; i++) assert.equal(guard.judge('10.0.0.1', 'b').kind, 'try');
  });

  it('takes back what was no failure', () => {
    for (let i = 0; i < 10; i++) {
      guard.tried('10.0.0.1', 'a');
      guard.untried('10.0.0.1', 'a');
    }
    assert.equal(guard.judge('10.0.0.1', 'a').kind, 'try');
  });

  it('takes the addresses of one IPv6 subscriber as one, and a mapped IPv4 address as itself', () => {
    for (let i = 1; i <= 5; i++) fail(`2001:db8:0:7::${i}`, `n${i}`, 1);
    assert.equal(guard.judge('2001:db8:0:7:ffff::1', 'x').kind, 'quietly');
    assert.equal(guard.judge('2001:db8:0:8::1', 'x').kind, 'try');
    for (let i = 1; i <= 5; i++) fail('::ffff:10.0.0.1', `m${i}`, 1);
    assert.equal(guard.judge('10.0.0.1', 'x').kind, 'quietly');
    assert.equal(guard.judge('::ffff:10.0.0.2', 'x').kind, 'try');
  });
});
