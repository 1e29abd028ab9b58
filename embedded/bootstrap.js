#!/usr/bin/env node
// Plain JavaScript for Node 20 and later: it is what a fresh clone runs before anything is installed.
import { spawn } from 'node:child_process';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Missing } from './setup/missing.js';
import { whenNpmEnds } from './setup/npm-watch.js';
import { installPackages, nodeOf } from './setup/packages.js';
import { findTools } from './setup/tools.js';

const USAGE = `node embedded/bootstrap.js <command> [arguments]
  start        the whole pipeline on this machine
  test         types, lint and tests
  test:all     every test
  storm        random faults over the whole pipeline
  node FILE    a program on Node 24, with the npm packages
  setup        nothing more than the set-up`;

const root = dirname(dirname(fileURLToPath(import.meta.url)));

// kafkajs computes negative timeouts; Node says so in each process.
const QUIET = '--disable-warning=TimeoutNegativeWarning';

/** What tests want of Debian besides. */
const TEST_TOOLS = ['docker-compose'];

/** Each command: what it needs more than the npm packages (`tools`), and the program that does it. */
const COMMANDS = {
  start: { tools: [], program: [QUIET, 'embedded/start.ts'] },
  test: { tools: TEST_TOOLS, program: [QUIET, 'test/run.ts'] },
  'test:all': { tools: TEST_TOOLS, program: [QUIET, 'test/run.ts', '--all'] },
  storm: { tools: [], program: [QUIET, 'storm/storm.ts'] },
  node: { program: [] },
  setup: { tools: TEST_TOOLS },
};

async function main([name, ...args]) {
  const command = Object.hasOwn(COMMANDS, name ?? '') ? COMMANDS[name] : undefined;
  if (!command) {
    console.error(USAGE);
    return 64;
  }
  if (process.platform !== 'linux') {
    console.error(
      `The embedded stack runs on Linux; this is ${process.platform}. docker-compose.yml runs elsewhere too.`,
    );
    return 69;
  }
  await installPackages(root);
  if (command.tools) await findTools(root, command.tools);
  return command.program ? runProgram([...command.program, ...args]) : 0;
}

/** Runs a program on Node 24, passes signals on to it, and waits for its end, whoever else gets the signal. */
function runProgram(args) {
  return new Promise((resolve, reject) => {
    const bin = join(root, 'node_modules', '.bin');
    // The program ends when this process does, by SIGKILL too: it looks whether its parent is still this one.
    const PATH = `${bin}${delimiter}${process.env.PATH}`;
    const env = { ...process.env, PATH, BOOTSTRAP_PID: String(process.pid) };
    const child = spawn(nodeOf(root), args, { cwd: root, stdio: 'inherit', env });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
    whenNpmEnds(() => child.kill('SIGTERM'));
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      if (signal) console.error(`node was ended by ${signal}`);
      resolve(code ?? 1);
    });
  });
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Missing)) throw error;
  console.error(error.message);
  process.exitCode = 69;
}
