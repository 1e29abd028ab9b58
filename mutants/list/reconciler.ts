import type { Mutant } from '../mutant.ts';

const SETTLE = 'src/reconciler/settle.ts';
const PHASE = 'src/reconciler/phase.ts';
const ENGINE = 'src/reconciler/engine.ts';
const ENGINE_TEST = 'test/reconciler/engine.test.ts';
const HISTORY_TEST = 'test/reconciler/runs/run-history.pg.test.ts';
const EXECUTING_TEST = 'test/reconciler/runs/executing.pg.test.ts';
const SETTLE_TEST = 'test/reconciler/settle.test.ts';
const PHASE_TEST = 'test/reconciler/phase.test.ts';

export const RECONCILER: Mutant[] = [
  {
    name: 'one-look-is-enough',
    guard: 'A difference counts when the same pair is found twice.',
    file: SETTLE,
    find: 'const same = !candidate.pending && before.get(candidate.key) === candidate.pair;',
    replace: 'const same = before.has(candidate.key);',
    tests: [SETTLE_TEST],
  },
  {
    name: 'slower-side-not-awaited',
    guard: 'A difference counts only when the slower side has come along.',
    file: SETTLE,
    find: 'if (passed && same) confirmed.push(candidate);',
    replace: 'if (same) confirmed.push(candidate);',
    tests: [SETTLE_TEST],
  },
  {
    name: 'undecided-proven',
    guard: 'What is still open is not proven.',
    file: PHASE,
    find: '.filter((key) => !open.has(key))',
    replace: '.filter((key) => !open.has(key) || true)',
    tests: [PHASE_TEST],
  },
  {
    name: 'cursor-before-settling',
    guard: 'A run that is resumed looks again at what was not settled.',
    file: PHASE,
    find: 'if (gathered.length === 0) recorder.progress(progress, options.cursor(range.cursor));',
    replace: 'if (gathered.length >= 0) recorder.progress(progress, options.cursor(range.cursor));',
    tests: [PHASE_TEST],
  },
  {
    name: 'repair-not-looked-at',
    guard: 'A repair counts when it is seen.',
    file: PHASE,
    find: 'open = open.filter(({ key }) => keys.has(key) && !left.has(key));',
    replace: 'open = open.filter(({ key }) => keys.has(key) && false);',
    tests: [PHASE_TEST],
  },
  {
    name: 'undecided-hidden',
    guard: 'Differences do not hide that something else was left undecided.',
    file: 'src/reconciler/outcome.ts',
    find: 'return { state: stateOf(tally, incomplete.length > 0), incomplete, unknown };',
    replace: 'return { state: stateOf(tally, incomplete.length > 0), incomplete: [], unknown };',
    tests: [ENGINE_TEST],
  },
  {
    name: 'cursor-of-before-believed',
    guard: 'A cursor that does not say what was left undecided is no proof.',
    file: ENGINE,
    find: '{ undecided: options.connectors, unknown: {} }',
    replace: '{ undecided: [], unknown: {} }',
    tests: [ENGINE_TEST],
  },
  {
    name: 'ids-against-a-late-replica',
    guard: 'Documents that are asked for are compared only where the replica has come up to SIIRAyS.',
    file: ENGINE,
    find: 'if (ids !== null && !(await untilPassed(',
    replace: 'if (ids !== null && false && !(await untilPassed(',
    tests: [ENGINE_TEST],
  },
  {
    name: 'unknown-to-one-is-unknown',
    guard: 'An id is unknown where no side of any connector knows it.',
    file: 'src/reconciler/tally.ts',
    find: 'sets.every((ids) => ids.has(id))',
    replace: 'sets.some(() => true) || sets.every((ids) => ids.has(id))',
    tests: [ENGINE_TEST],
  },
  {
    name: 'set-aside-proven',
    guard: 'What somebody has accepted as it is, is not proven.',
    file: PHASE,
    find: 'keysOf([...confirmed, ...stale, ...setAside])',
    replace: 'keysOf([...confirmed, ...stale])',
    tests: [PHASE_TEST],
  },
  {
    name: 'repair-without-a-word',
    guard: 'A repair is noted before it is asked for.',
    file: 'src/reconciler/runs/run-execution.ts',
    find: 'await this.#untilWaiting(0);',
    replace: '',
    tests: [EXECUTING_TEST],
  },
  {
    name: 'undecided-is-a-verdict',
    guard: 'A run that left something undecided is no proof.',
    file: 'src/reconciler/runs/run-history.ts',
    find: 'AND NOT ($1 = ANY (run.incomplete)) AND',
    replace: "AND run.state IN ('equal', 'repaired', 'differences') AND",
    tests: [HISTORY_TEST],
  },
  {
    name: 'met-forgotten',
    guard: 'What is there and not proven is not forgotten.',
    file: 'src/reconciler/runs/proofs.ts',
    find: 'greatest(proven_at, met_at)',
    replace: 'proven_at',
    tests: [HISTORY_TEST],
  },
  {
    name: 'another-key',
    guard: 'A row is looked up by the key that it was found by.',
    file: 'src/reconciler/rows/row-lookup.ts',
    find: 'keyed.every(({ name }, place) => name === key[place]!.name)',
    replace: 'keyed.every(() => true)',
    tests: ['test/reconciler/rows/scan.pg.test.ts'],
  },
  {
    name: 'act-without-entry',
    guard: 'What leaves no other record is not done without its entry in the audit.',
    file: 'src/reconciler/http/audited.ts',
    find: 'runs.audit(caller.name, caller.role, action, object, {}, client)',
    replace: 'runs.audit(caller.name, caller.role, action, object, {}).catch(() => undefined)',
    tests: ['test/reconciler/http/unwritable-audit.pg.test.ts'],
  },
];
