import assert from 'node:assert/strict';
import type { ToldRun } from './reconciler-client.ts';

/** What lacks a required field is found by every run that looks at everything; nothing else is. */
export function assertProven(run: ToldRun, deadLetters: number, what: string): void {
  assert.deepEqual([run.error?.message, run.found, run.notes], [undefined, { dead_letter: deadLetters }, []], what);
}

export function assertFailed(run: ToldRun, reason: RegExp): void {
  assert.equal(run.state, 'failed', JSON.stringify(run));
  assert.match(run.error!.message, reason);
}
