import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';

/**
 * Waits for a condition: calls it every 20 ms until it gives something truthy, and gives that back.
 * @param what what is waited for, for the message when the deadline passes
 */
export async function until<T>(condition: () => Promise<T> | T, what: string, withinMs = 10_000): Promise<T> {
  const deadline = Date.now() + withinMs;
  while (true) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) assert.fail(`waited ${withinMs / 1000} s in vain for ${what}`);
    await wait(20);
  }
}
