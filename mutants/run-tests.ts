import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { guarded } from '../embedded/guarded-command.ts';
import { phasesOf } from '../test/runner/phases.ts';
import type { SharedServers } from '../test/runner/shared-servers.ts';
import type { Failure } from './failure-lines.ts';

/** What a test file of the copy came to. */
export interface Outcome {
  passed: boolean;
  failures: Failure[];
}

/** The limit of one test: a mutant that hangs is not to hold up the others. */
const TEST_MS = 150_000;

/** Runs one test file of the copy in `path`, with the servers that files of its kind share. */
export async function runTestFile(path: string, file: string, servers: SharedServers): Promise<Outcome> {
  const phase = phasesOf(true, [file]).at(-1);
  const shared = phase ? await servers.environmentFor(phase) : {};
  const args = [
    '--disable-warning=TimeoutNegativeWarning',
    '--test',
    `--test-timeout=${TEST_MS}`,
    `--test-reporter=${join(path, 'mutants/failure-lines.ts')}`,
    file,
  ];
  const { code, output } = await run(path, process.execPath, args, shared);
  const failures = output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Failure);
  return { passed: code === 0, failures };
}

/** Runs a program to its end; gives its exit code and what it wrote. */
export async function run(
  cwd: string,
  program: string,
  parameters: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; output: string }> {
  const { file, args } = guarded({ file: program, args: parameters }, { deathSignal: 'KILL' });
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}
