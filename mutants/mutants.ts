/**
 * Takes one guard after the other out of a copy of the program and sees that a test notices:
 *   npm run mutants -- [NAME ...] [--list] [--no-baseline] [--no-sample]
 * First the tests run with all guards, since a test that fails anyway notices nothing. Exit 0 where every mutant died by an
 * assertion, 1 where not, 64 for a name that is none.
 */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { EXIT } from '../src/cli/exit-codes.ts';
import { SharedServers } from '../test/runner/shared-servers.ts';
import { MUTANTS } from './list.ts';
import type { Mutant } from './mutant.ts';
import { runTestFile } from './run-tests.ts';
import { judge, type Verdict } from './verdict.ts';
import { WorkCopy } from './work-copy.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    options: {
      list: { type: 'boolean', default: false },
      baseline: { type: 'boolean', default: true },
      sample: { type: 'boolean', default: true },
    },
    allowPositionals: true,
    allowNegative: true,
  });
  const unknown = positionals.filter((name) => !MUTANTS.some((mutant) => mutant.name === name));
  if (unknown.length > 0) {
    console.error(`no mutant is named ${unknown.join(', ')}; --list shows their names`);
    return EXIT.usage;
  }
  const chosen = MUTANTS.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  if (values.list) {
    for (const { name, guard } of chosen) console.log(`${name.padEnd(34)} ${guard}`);
    return 0;
  }
  const copy = new WorkCopy(root);
  const servers = new SharedServers();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      copy.remove();
      process.exit(130);
    });
  }
  try {
    if (values.baseline && !(await passesWhole(copy, chosen, servers))) return 1;
    return (await judgeAll(copy, chosen, servers, values.sample)) ? 0 : 1;
  } finally {
    await servers.stop();
    copy.remove();
  }
}

/** Whether all tests that are to notice something pass while nothing is missing. */
async function passesWhole(copy: WorkCopy, mutants: readonly Mutant[], servers: SharedServers): Promise<boolean> {
  const files = new Set(mutants.flatMap(({ tests }) => tests));
  let all = true;
  for (const file of files) {
    const { passed, failures } = await runTestFile(copy.path, file, servers);
    if (passed) continue;
    all = false;
    console.log(`${file} fails with all guards: ${failures[0]?.test ?? ''} ${failures[0]?.message ?? ''}`);
  }
  console.log(`${files.size} test files with all guards: ${all ? 'passed' : 'FAILED'}`);
  return all;
}

async function judgeAll(
  copy: WorkCopy,
  mutants: readonly Mutant[],
  servers: SharedServers,
  sample: boolean,
): Promise<boolean> {
  const counts = { died: 0, survived: 0, unfit: 0 };
  for (const [place, mutant] of mutants.entries()) {
    const started = performance.now();
    const verdict = await judge(copy, mutant, servers, sample);
    counts[verdict.kind]++;
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    console.log(`${place + 1}/${mutants.length} ${mutant.name} ${describe(verdict)} (${seconds} s)`);
  }
  console.log(`mutants: ${counts.died} died, ${counts.survived} survived, ${counts.unfit} unfit`);
  return counts.survived + counts.unfit === 0;
}

function describe(verdict: Verdict): string {
  if (verdict.kind !== 'died') return `${verdict.kind.toUpperCase()}: ${verdict.reason}`;
  return `died: ${verdict.file}, "${verdict.test}": ${verdict.message}`;
}

process.exitCode = await main(process.argv.slice(2));
