import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Candidate, Comparison, Described, Range } from '../../src/reconciler/comparison.ts';
import { type PhaseOptions, runPhase } from '../../src/reconciler/phase.ts';
import { Tally } from '../../src/reconciler/tally.ts';
import type { Cursor, Difference, Mode, RunRecorder } from '../../src/reconciler/types.ts';

const ranges = (...suspects: string[][]): Range<Candidate>[] =>
  suspects.map((keys, i) => ({
    candidates: keys.map((key) => ({ key, pair: 'x', pending: false })),
    ...{ compared: 10, cursor: i + 1, total: 30, table: 'public.epsa', proven: [] },
  }));

/** Ranges with suspects, of which some stay wrong until they are repaired. */
class Sides implements Comparison<Candidate> {
  readonly phase = 'documents';
  readonly wrong: Set<string>;
  readonly ranges: Range<Candidate>[];
  repairs: string[][] = [];
  refused = new Map<string, string>();
  /** Known, and accepted as they are. */
  accepted = new Set<string>();

  constructor(all: Range<Candidate>[], wrong: string[]) {
    this.ranges = all;
    this.wrong = new Set(wrong);
  }

  async *scan(from: unknown, signal: AbortSignal): AsyncGenerator<Range<Candidate>> {
    for (const range of this.ranges.slice((from as number | null) ?? 0)) {
      signal.throwIfAborted();
      yield range;
    }
  }

  async look(candidates: readonly Candidate[]): Promise<Candidate[]> {
    return candidates
      .filter(({ key }) => this.wrong.has(key))
      .map((one) => (this.accepted.has(one.key) ? { ...one, setAside: true } : one));
  }

  async describe(candidates: readonly Candidate[]): Promise<Map<string, Described>> {
    const base = { kind: 'document', table: null, key: null, path: null, expected: null, actual: null } as const;
    return new Map(
      candidates.map(({ key }) => [key, { ...base, documents: [key], wrong: 'fastaaps', since: null } as const]),
    );
  }

  async repair(candidates: readonly Candidate[]): Promise<Map<string, string>> {
    this.repairs.push(candidates.map(({ key }) => key));
    for (const { key } of candidates) if (key !== 'stubborn' && !this.refused.has(key)) this.wrong.delete(key);
    return this.refused;
  }

  async close(): Promise<void> {}
}

async function run(sides: Sides, mode: Mode, more: Partial<PhaseOptions<Candidate>> = {}) {
  const differences: Difference[] = [];
  const asked: Difference[] = [];
  const cursors: unknown[] = [];
  const notes: string[] = [];
  const proven: string[] = [];
  const met: string[] = [];
  const recorder = {
    run: { progress: { rows: 0, documents: 0 }, options: { stopAfter: null } },
    signal: new AbortController().signal,
    progress: (_change: object, cursor?: Cursor) => {
      if (cursor) cursors.push(cursor.at);
    },
    differences: async (found: Difference[]) => {
      differences.push(...found);
    },
    asked: async (found: Difference[]) => {
      asked.push(...found);
      assert.deepEqual(sides.repairs, [], 'what is asked for is stored before');
      return (became: Difference[]) => void differences.push(...became);
    },
    note: (text: string) => notes.push(text),
  } as unknown as RunRecorder;
  const tally = new Tally();
  await runPhase({
    ...{ comparison: sides, connector: 'epsa', mode, recorder, tally, from: null, repairPatienceMs: 300 },
    pass: async () => true,
    since: () => '0/1',
    proven: async (ids) => {
      proven.push(...ids);
    },
    met: async (ids) => {
      met.push(...ids);
    },
    enough: new AbortController().signal,
    cursor: (at) => ({ at }),
    ...more,
  });
  return { differences, asked, cursors, notes, proven, met, tally };
}

describe('a phase of a reconciliation', () => {
  test('verify reports what is confirmed, and changes nothing', async () => {
    const sides = new Sides(ranges(['a', 'b'], ['c']), ['b']);
    const { differences, tally, proven } = await run(sides, 'verify');
    assert.deepEqual(
      differences.map(({ documents, outcome }) => [documents, outcome]),
      [[['b'], 'found']],
    );
    assert.deepEqual([sides.repairs, proven.sort(), tally.left.total], [[], ['a', 'c'], 1]);
  });

  test('repair looks until it shows, and says why something is left', async () => {
    const sides = new Sides(ranges(['a', 'stubborn', 'dead']), ['a', 'stubborn', 'dead']);
    sides.refused.set('dead', 'still lacks tuberias[0].localidad');
    const { differences, asked, tally, proven } = await run(sides, 'repair');
    assert.deepEqual(
      asked.map(({ documents, outcome }) => [documents[0], outcome]),
      ['a', 'stubborn', 'dead'].map((key) => [key, 'asked']),
    );
    assert.deepEqual(proven, ['a']);
    const told = Object.fromEntries(differences.map(({ documents, reason }) => [documents[0], reason]));
    assert.equal(told.a, null);
    assert.equal(told.dead, 'still lacks tuberias[0].localidad');
    assert.match(told.stubborn!, /not repaired within 0 s/);
    assert.deepEqual([tally.repaired.total, tally.left.total], [1, 2]);
  });

  test('a run that is resumed does not pass over what was not settled', async () => {
    const { cursors } = await run(new Sides(ranges([], ['a'], []), ['a']), 'verify');
    assert.deepEqual(cursors, [1], 'no cursor behind a range with an open suspect');
  });

  test('it goes on from its cursor', async () => {
    const { differences } = await run(new Sides(ranges(['a'], ['b'], ['c']), ['a', 'b', 'c']), 'verify', { from: 1 });
    assert.deepEqual(differences.map(({ documents }) => documents[0]).sort(), ['b', 'c']);
  });

  test('when the time is over what was looked at is settled, and the rest is open', async () => {
    const over = AbortSignal.abort(new Error('the time is over'));
    const { tally, differences } = await run(new Sides(ranges(['a']), ['a']), 'verify', { enough: over });
    assert.deepEqual([[...tally.unfinished], differences], [['epsa'], []]);
  });

  test('what somebody has accepted as it is, is neither a difference nor proven, but met', async () => {
    const sides = new Sides(ranges(['a', 'accepted']), ['a', 'accepted']);
    sides.ranges.push({ ...ranges([])[0]!, setAside: ['accepted before'] });
    sides.accepted.add('accepted');
    const { differences, proven, met, tally } = await run(sides, 'verify');
    assert.deepEqual([differences.map(({ documents }) => documents[0]), proven], [['a'], []]);
    assert.deepEqual(met, ['a', 'accepted', 'accepted before']);
    assert.equal(tally.undecided.size, 0);
  });

  test('what keeps changing is undecided, and noted once', async () => {
    const sides = new Sides(ranges(['a', 'b']), ['a', 'b']);
    const { tally, notes, differences } = await run(sides, 'repair', { pass: async () => false });
    assert.deepEqual([[...tally.undecided], differences, notes.length], [['epsa'], [], 1]);
  });
});
