import { globSync } from 'node:fs';
import { sep } from 'node:path';

/** One part of a test run: a program that must end with exit code 0. */
export interface Phase {
  name: string;
  file: string;
  args: string[];
  /** What its tests share, started for it. */
  needs: ('postgres' | 'kafka')[];
}

/** Kinds of tests by the suffix of their file; what a test file without a kind needs is nothing. */
const KINDS = {
  unit: { concurrency: 2, needs: [], timeoutMs: 120_000 },
  pg: { concurrency: 2, needs: ['postgres'], timeoutMs: 180_000 },
  // Alone on the machine: these measure delays, kill processes and wait for what follows.
  e2e: { concurrency: 1, needs: ['postgres', 'kafka'], timeoutMs: 900_000 },
  all: { concurrency: 1, needs: ['postgres', 'kafka'], timeoutMs: 1_800_000 },
} as const;

type Kind = keyof typeof KINDS;

/** The kind of a test file, or undefined for a file that is none. */
export function kindOf(file: string): Kind | undefined {
  const found = /(?:\.(pg|e2e|all))?\.test\.ts$/.exec(file);
  return found ? ((found[1] as Kind | undefined) ?? 'unit') : undefined;
}

/**
 * The phases of a run, in order.
 * @param all whether those that take long are among them
 * @param words only test files whose path contains one of these; without any, everything
 */
export function phasesOf(all: boolean, words: string[]): Phase[] {
  const files = globSync('test/**/*.test.ts')
    .map((file) => file.replaceAll(sep, '/'))
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
    .sort();
  const checks: Phase[] = [
    { name: 'types', file: 'node_modules/.bin/tsc', args: ['--noEmit'], needs: [] },
    { name: 'lint', file: 'node_modules/.bin/biome', args: ['check', '.'], needs: [] },
  ];
  const tests = (Object.keys(KINDS) as Kind[])
    .filter((kind) => all || kind !== 'all')
    .map((kind) => testPhase(kind, files))
    .filter((phase) => phase !== undefined);
  return words.length === 0 ? [...checks, ...tests] : tests;
}

function testPhase(kind: Kind, files: string[]): Phase | undefined {
  const own = files.filter((file) => kindOf(file) === kind);
  if (own.length === 0) return undefined;
  const { concurrency, timeoutMs, needs } = KINDS[kind];
  const limits = [`--test-concurrency=${concurrency}`, `--test-timeout=${timeoutMs}`];
  const args = ['--disable-warning=TimeoutNegativeWarning', '--test', ...limits, '--test-reporter=spec', ...own];
  return { name: kind, file: process.execPath, args, needs: [...needs] };
}
