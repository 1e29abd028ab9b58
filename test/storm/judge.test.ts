import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Judge } from '../../storm/history/judge.ts';
import type { Documents, HistoryRecord } from '../../storm/history/records.ts';

const OLD: Documents = { 1601: 'a', 1602: 'b', 1603: 'c' };
const NEW: Documents = { 1601: 'A', 1602: 'B', 1603: 'c' };

function judged(records: HistoryRecord[]): string[] {
  const judge = new Judge();
  judge.take({ kind: 'start', seed: 1, minutes: 1, lsn: '0/100' });
  judge.take({ kind: 'commit', n: 1, xid: '700', lsn: '0/200' });
  for (const record of records) judge.take(record);
  return judge.verdict().differences;
}

function seen(lsn: string, seq: string, documents: Documents): HistoryRecord {
  return { kind: 'fastaaps', at: 5, history: 1, seq, lsn, documents };
}

const truth = (lsn: string, documents: Documents): HistoryRecord => ({ kind: 'truth', of: 'fastaaps', lsn, documents });

describe('the checker of a storm’s history', () => {
  const before = [seen('0/100', '1', OLD), truth('0/100', OLD)];

  test('finds nothing where each state is SIIRAyS’s as of its commit', () => {
    assert.deepEqual(judged([...before, seen('0/200', '2', NEW), truth('0/200', NEW)]), []);
  });

  test('finds a wrong document', () => {
    const found = judged([...before, seen('0/200', '2', { ...NEW, 1603: 'x' }), truth('0/200', NEW)]);
    assert.deepEqual(found, ['fastaaps at 5 ms (0/200): document 1603 differs']);
  });

  test('finds a lost document, and one too many', () => {
    const { 1602: _, ...lost } = NEW;
    const found = judged([...before, seen('0/200', '2', { ...lost, 1999: 'z' }), truth('0/200', NEW)]);
    assert.match(found.join(), /1602 is missing/);
    assert.match(found.join(), /1999 should not be there/);
  });

  test('finds half a changeset, under the old position and under the new one', () => {
    const half = { ...OLD, 1601: 'A' };
    assert.match(judged([seen('0/100', '1', half), truth('0/100', OLD)]).join(), /1601 differs/);
    assert.match(judged([...before, seen('0/200', '2', half), truth('0/200', NEW)]).join(), /1602 differs/);
  });

  test('finds a position that goes back, and a commit that comes twice', () => {
    const back = [seen('0/200', '2', NEW), truth('0/200', NEW), seen('0/100', '1', OLD), truth('0/100', NEW)];
    assert.match(judged(back).join(), /went back from 1\.2 to 1\.1/);
    assert.match(judged([{ kind: 'commit', n: 2, xid: '700', lsn: '0/200' }]).join(), /not after the one before/);
  });

  test('finds a version that goes back', () => {
    const versions = (version: string): HistoryRecord => ({
      kind: 'versions',
      at: 5,
      versions: { 1601: [1, version] },
    });
    assert.deepEqual(judged([versions('9'), versions('10')]), []);
    assert.match(judged([versions('10'), versions('9')]).join(), /1601 went back from 1\.10 to 1\.9/);
  });

  test('lets a refused document stand as it was until it comes again, and not a moment longer', () => {
    const refused: HistoryRecord = { kind: 'refused', at: 4, id: '1601', lsn: '0/200' };
    const stands = { ...NEW, 1601: 'a' };
    const held = [...before, refused, seen('0/200', '2', stands), truth('0/200', NEW)];
    assert.deepEqual(judged(held), []);
    const again = [...held, seen('0/200', '2', NEW), truth('0/200', NEW)];
    assert.deepEqual(judged(again), []);
    assert.match(judged([...again, seen('0/200', '2', stands), truth('0/200', NEW)]).join(), /1601 differs/);
    const other = [...before, refused, seen('0/200', '2', { ...NEW, 1601: 'x' }), truth('0/200', NEW)];
    assert.match(judged(other).join(), /1601 differs/);
  });

  test('finds a state that no truth was told for', () => {
    assert.match(judged([seen('0/200', '2', NEW)]).join(), /no truth/);
  });
});
