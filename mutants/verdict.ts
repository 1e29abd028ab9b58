import { join } from 'node:path';
import type { SharedServers } from '../test/runner/shared-servers.ts';
import type { Mutant } from './mutant.ts';
import { run, runTestFile } from './run-tests.ts';
import type { WorkCopy } from './work-copy.ts';

export type Verdict =
  /** An assertion failed: the tests notice that the guard is missing. */
  | { kind: 'died'; file: string; test: string; message: string }
  /** No test failed, or none by an assertion. */
  | { kind: 'survived'; reason: string }
  /** No mutant: it does not compile, or does not even deliver the plain sample. */
  | { kind: 'unfit'; reason: string };

const PLAIN_SAMPLE = 'mutants/plain-sample.test.ts';

/**
 * Takes one guard out and sees what happens.
 * @param withSample whether it must deliver the plain sample, which takes longer than most tests
 */
export function judge(copy: WorkCopy, mutant: Mutant, servers: SharedServers, withSample: boolean): Promise<Verdict> {
  return copy.without(mutant, async () => {
    const types = await run(copy.path, join(copy.path, 'node_modules/.bin/tsc'), ['--noEmit']);
    if (types.code !== 0) return { kind: 'unfit', reason: `tsc: ${types.output.split('\n', 1)[0]}` };
    const sample = withSample ? await runTestFile(copy.path, PLAIN_SAMPLE, servers) : null;
    if (sample?.passed === false) {
      return { kind: 'unfit', reason: `plain sample: ${sample.failures[0]?.message ?? 'no test ran'}` };
    }
    const others: string[] = [];
    for (const file of mutant.tests) {
      const { passed, failures } = await runTestFile(copy.path, file, servers);
      const assertion = failures.find((failure) => failure.assertion);
      if (assertion) return { kind: 'died', file, test: assertion.test, message: assertion.message };
      if (!passed) others.push(`${file}: ${failures[0]?.message ?? 'failed before any test'}`);
    }
    return {
      kind: 'survived',
      reason: others.length > 0 ? `no assertion, but ${others.join('; ')}` : 'every test passed',
    };
  });
}
