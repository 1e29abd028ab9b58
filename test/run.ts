import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { guarded } from '../embedded/guarded-command.ts';
import { whenBootstrapEnds } from '../embedded/start/bootstrap-watch.ts';
import { type Phase, phasesOf } from './runner/phases.ts';
import { SharedServers } from './runner/shared-servers.ts';

const INTERRUPTED = 130;

interface Result {
  name: string;
  ok: boolean;
  seconds: number;
}

/** Runs the phases one after the other; one that fails does not keep the others from running. */
async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    options: { all: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  const phases = phasesOf(values.all, positionals);
  const servers = new SharedServers();
  const results: Result[] = [];
  try {
    for (const phase of phases) results.push(await timed(phase.name, () => runPhase(phase, servers)));
  } finally {
    await servers.stop();
  }
  console.log(`\n${results.map(describe).join('\n')}\n${describe(total(results))}`);
  return results.every(({ ok }) => ok) ? 0 : 1;
}

async function runPhase(phase: Phase, servers: SharedServers): Promise<boolean> {
  console.log(`\n=== ${phase.name}`);
  const env = { ...process.env, ...(await servers.environmentFor(phase)) };
  const { file, args } = guarded(phase, { deathSignal: 'KILL' });
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: 'inherit', env });
    child.once('error', reject);
    child.once('exit', (code) => resolve(code === 0));
  });
}

async function timed(name: string, work: () => Promise<boolean>): Promise<Result> {
  const startedAt = performance.now();
  const ok = await work();
  return { name, ok, seconds: (performance.now() - startedAt) / 1000 };
}

function total(results: Result[]): Result {
  const seconds = results.reduce((sum, result) => sum + result.seconds, 0);
  return { name: 'total', ok: results.every(({ ok }) => ok), seconds };
}

function describe({ name, ok, seconds }: Result): string {
  return `${name.padEnd(8)}${seconds.toFixed(1).padStart(8)} s  ${ok ? 'passed' : 'FAILED'}`;
}

// What the phases and servers run as processes ends with this one.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(INTERRUPTED));
whenBootstrapEnds(() => process.exit(INTERRUPTED));
process.exitCode = await main(process.argv.slice(2));
