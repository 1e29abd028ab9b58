import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type pg from 'pg';
import type { CompiledConnector } from '../../src/connector/compiled.ts';
import type { Candidate, Comparison, Range } from '../../src/reconciler/comparison.ts';
import { Engine, type Sides } from '../../src/reconciler/engine.ts';
import type { PositionWatch } from '../../src/reconciler/position-watch.ts';
import type { Cursor, RunOptions, RunRecorder } from '../../src/reconciler/types.ts';

const STANDING = {
  ...{ history: 1, seq: '5', lsn: '0/5', delivered_history: 1, delivered_seq: '5', delivered_lsn: '0/5' },
  ...{ request_reason: null, requested: false, staging: false },
};

/** A comparison that suspects nothing, in two ranges. */
function equal(phase: 'rows' | 'documents'): Comparison<Candidate> {
  const range = (cursor: number): Range<Candidate> => ({
    ...{ candidates: [], compared: 1, cursor, total: 2, table: null, proven: [] },
  });
  return {
    phase,
    async *scan(from: unknown) {
      for (const cursor of [1, 2]) if (cursor > ((from as number | null) ?? 0)) yield range(cursor);
    },
    look: async () => [],
    describe: async () => new Map(),
    repair: async () => new Map(),
    close: async () => undefined,
  };
}

async function run(given: {
  options?: Partial<RunOptions>;
  from?: Cursor | null;
  standing?: object;
  sides?: Partial<Sides>;
}) {
  const notes: string[] = [];
  const cursors: Cursor[] = [];
  const sides = {
    rows: () => equal('rows'),
    documents: () => equal('documents'),
    close: async () => undefined,
    ...given.sides,
  } as unknown as Sides;
  const options = { mode: 'verify', direct: false, connectors: ['epsa'], ids: null, tables: null, target: null };
  const recorder = {
    run: {
      id: 'r',
      resumes: given.from ? 'before' : null,
      options: { ...options, stopAfter: null, maxTimeMs: null, ...given.options },
    },
    signal: new AbortController().signal,
    resumeFrom: given.from ?? null,
    progress: (_change: object, cursor?: Cursor) => {
      if (cursor) cursors.push(cursor);
    },
    differences: async () => undefined,
    note: (text: string) => notes.push(text),
    position: () => undefined,
  } as unknown as RunRecorder;
  const engine = new Engine({
    pool: { query: async () => ({ rows: [{ ...STANDING, ...given.standing }] }) } as unknown as pg.Pool,
    watch: { start: () => undefined, newest: { history: 1 }, reached: () => null } as unknown as PositionWatch,
    connectors: ['epsa', 'other'].map(
      (name) => ({ name, target: { path: '/x', tag: 'sync', adapter: 'changes' } }) as CompiledConnector,
    ),
    sides: () => sides,
    proven: async () => undefined,
    met: async () => undefined,
    patienceMs: 10,
    repairPatienceMs: 10,
  });
  return { ...(await engine.run(recorder)), notes, cursors };
}

describe('the engine', () => {
  test('what is all equal is equal', async () => {
    const { state, notes } = await run({});
    assert.deepEqual([state, notes], ['equal', []]);
  });

  test('a run that goes on does not forget what was found before', async () => {
    const { cursors } = await run({});
    const [first] = cursors as unknown as { tally: object }[];
    const tally = { ...first!.tally, found: { row: 5 }, left: { row: 5 } };
    const { state, notes } = await run({ from: { ...first, tally } });
    assert.equal(state, 'differences');
    assert.match(notes.join(), /5 differences were found before it was resumed: run before/);
    const undecided = { ...first!.tally, undecided: ['epsa'] };
    assert.equal((await run({ from: { ...first, tally: undecided } })).state, 'undecided');
    const old = await run({ from: { ...first, tally: { found: {}, repaired: {}, left: {}, stale: 3 } } });
    assert.deepEqual([old.state, old.incomplete], ['undecided', ['epsa']], 'a cursor that does not say it');
  });

  test('a run that goes on ends after so many differences of its own', async () => {
    const { cursors } = await run({});
    const [first] = cursors as unknown as { tally: object }[];
    const tally = { ...first!.tally, found: { row: 5 }, repaired: { row: 5 } };
    const options = { mode: 'repair', stopAfter: 3 } as const;
    assert.deepEqual((await run({ options, from: { ...first, tally } })).state, 'repaired');
  });

  test('differences do not hide that something else was left undecided, and of which connector', async () => {
    const { cursors } = await run({});
    const [first] = cursors as unknown as { tally: object }[];
    const tally = { ...first!.tally, found: { row: 1 }, left: { row: 1 } };
    const skipping = (_tables: unknown, onSkipped: () => void) => {
      onSkipped();
      return equal('rows');
    };
    const options = { connectors: ['epsa', 'other'] };
    const sides = { rows: skipping };
    const { state, incomplete } = await run({ options, from: { ...first, tally }, sides });
    assert.deepEqual([state, incomplete], ['differences', ['epsa', 'other']]);
    const whole = await run({ options, from: { ...first, tally } });
    assert.deepEqual([whole.state, whole.incomplete], ['differences', []]);
    assert.deepEqual((await run({ options })).incomplete, []);
  });

  test('an id that no side of any connector knows is told, and is no proof', async () => {
    const knowing = (unknown: string[]): Comparison<Candidate> => ({
      ...equal('documents'),
      async *scan() {
        yield { candidates: [], compared: 1, cursor: 1, total: 1, table: null, proven: [], unknown };
      },
    });
    const answers = [knowing(['7', '8']), knowing(['8', '9'])];
    const options = { connectors: ['epsa', 'other'], ids: ['7', '8', '9'] };
    const sides = { barrier: async () => 5n, documents: () => answers.shift()! };
    const { state, incomplete, unknown, notes } = await run({ options, sides });
    assert.deepEqual([state, incomplete, unknown], ['undecided', ['epsa', 'other'], ['8']]);
    assert.match(notes.join(), /no side knows these ids, of which nothing is proven: 8$/);
  });

  test('documents that are asked for are looked at only where the replica has come up to SIIRAyS', async () => {
    const sides = { barrier: async () => 6n, documents: () => assert.fail('it was looked at') };
    const { state, notes } = await run({ options: { ids: ['1'] }, sides });
    assert.equal(state, 'undecided');
    assert.match(notes.join(), /the replica has not come up to SIIRAyS in time/);
  });

  test('a table that was passed over, or a replica that stands still, leaves it undecided', async () => {
    const skipping = (_tables: unknown, onSkipped: () => void) => {
      onSkipped();
      return equal('rows');
    };
    assert.equal((await run({ sides: { rows: skipping } })).state, 'undecided');
    const nameless = (_ids: unknown, onSkipped: () => void) => {
      onSkipped();
      return equal('documents');
    };
    assert.equal((await run({ sides: { documents: nameless } })).state, 'undecided');
    const frozen = await run({ standing: { requested: true, request_reason: 'a hole' } });
    assert.equal(frozen.state, 'undecided');
    assert.match(frozen.notes.join(), /a full snapshot is awaited: a hole/);
  });

  test('after a restore of its own set the consumer has the last word, however the restore ended', async () => {
    let again = 0;
    const sendAgain = async () => {
      again += 1;
    };
    const restore = async () => ({ documents: 1, lsn: '0/1', leftOut: [], leftOutCount: 0 });
    const options = { mode: 'restore', target: 'sync' } as const;
    assert.equal((await run({ options, sides: { restore, sendAgain } })).state, 'equal');
    const failing = async () => {
      throw new Error('refused');
    };
    await assert.rejects(run({ options, sides: { restore: failing, sendAgain } }), /refused/);
    assert.equal(again, 2);
    await run({ options: { ...options, target: 'backup' }, sides: { restore, sendAgain } });
    assert.equal(again, 2, 'another set is nobody else’s');
  });
});
