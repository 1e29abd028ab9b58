/** A storm of one minute, and whether its checker would have noticed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { ROOT } from '../../embedded/tools.ts';
import type { FastaapsRecord, HistoryRecord } from '../../storm/history/records.ts';
import { runStorm } from '../../storm/run.ts';
import { tempDir } from '../support/temp-dir.ts';

const dir = tempDir('storm');
after(() => dir.remove());
let history: HistoryRecord[] = [];

/** What the checker, a program of its own, says of a history. */
function checked(records: HistoryRecord[]): { status: number | null; stdout: string } {
  const file = join(dir.path, 'planted.ndjson');
  writeFileSync(file, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  return spawnSync(process.execPath, ['storm/checker.ts', file], { cwd: ROOT, encoding: 'utf8' });
}

/** The history with one state changed: the first that differs in several documents from the one before. */
function planted(change: (before: FastaapsRecord, record: FastaapsRecord) => FastaapsRecord['documents']) {
  const states = history.filter((record) => record.kind === 'fastaaps');
  const at = states.findIndex((state, i) => i > 0 && differing(states[i - 1]!, state).length > 1);
  assert.ok(at > 0, 'a changeset of several documents was seen');
  const [before, state] = [states[at - 1]!, states[at]!];
  return history.map((record) => (record === state ? { ...state, documents: change(before, state) } : record));
}

function differing(before: FastaapsRecord, { documents }: FastaapsRecord): string[] {
  return Object.keys(documents).filter((id) => id in before.documents && documents[id] !== before.documents[id]);
}

describe('a storm of one minute', { timeout: 900_000 }, () => {
  test('ends without a difference, with the faults, transactions and comparisons that it must have', async () => {
    const lines: string[] = [];
    const print = (line: string) => lines.push(line);
    const result = await runStorm({ minutes: 1, seed: 1, dir: dir.path, print });
    assert.deepEqual(result.differences, [], lines.join('\n'));
    assert.deepEqual(result.shortfalls, [], lines.join('\n'));
    const text = readFileSync(result.history, 'utf8').trimEnd();
    history = text.split('\n').map((line) => JSON.parse(line) as HistoryRecord);
    assert.equal(checked(history).status, 0);
  });

  test('its checker finds a wrong document, a lost one, and half a changeset', () => {
    const wrong = planted((_, { documents }) => ({ ...documents, [Object.keys(documents)[0]!]: 'otro' }));
    const lost = planted((_, { documents }) => Object.fromEntries(Object.entries(documents).slice(1)));
    const half = planted((before, state) => {
      const [id] = differing(before, state);
      return { ...state.documents, [id!]: before.documents[id!]! };
    });
    for (const [records, how] of [
      [wrong, /differs/],
      [lost, /is missing/],
      [half, /differs/],
    ] as const) {
      const { status, stdout } = checked(records);
      assert.equal(status, 1);
      assert.match(stdout, how);
      assert.match(stdout, / 1 differences$/m);
    }
  });
});
