import type { Mutant } from '../mutant.ts';

const SETTLE = 'src/reconciler/settle.ts';
const PHASE = 'src/reconciler/phase.ts';
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
    find: 'open = open.filter(({ key }) => keys.has(key));',
    replace: 'open = open.filter(({ key }) => keys.has(key) && false);',
    tests: [PHASE_TEST],
  },
];
