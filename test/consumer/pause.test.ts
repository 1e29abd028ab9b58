import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PauseSwitch } from '../../src/consumer/pause.ts';

describe('the pause of a connector', () => {
  const never = new AbortController().signal;

  test('the first look decides whether work begins', async () => {
    const pause = new PauseSwitch(() => assert.fail('work has not begun'));
    const looked = pause.isOn(never);
    pause.set(true);
    assert.equal(await looked, true);
    const resumed = pause.off(never);
    pause.set(true);
    pause.set(false);
    await resumed;
  });

  test('work under way hears of it once', () => {
    let told = 0;
    const pause = new PauseSwitch(() => {
      told += 1;
    });
    for (const on of [false, true, true]) pause.set(on);
    assert.equal(told, 1);
  });

  test('who waits learns of the end', async () => {
    const ending = new AbortController();
    const pause = new PauseSwitch(() => undefined);
    const looked = assert.rejects(pause.isOn(ending.signal), /the lease is lost/);
    ending.abort(new Error('the lease is lost'));
    await looked;
    await assert.rejects(pause.off(ending.signal), /the lease is lost/);
  });
});
