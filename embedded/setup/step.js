import { spawn } from 'node:child_process';
import { Missing } from './missing.js';

/** Prints one progress line: what is done, then how long it took. */
export async function step(what, work) {
  const startedAt = performance.now();
  process.stderr.write(`${what} ... `);
  try {
    const result = await work();
    process.stderr.write(`${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
    return result;
  } catch (error) {
    process.stderr.write('failed\n');
    throw error;
  }
}

/**
 * Runs a program to its end without showing what it prints.
 * @returns {Promise<{ok: boolean, output: string}>} whether its exit code was 0, and all that it printed
 */
export function run(file, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const add = (text) => {
      output += text;
    };
    child.stdout.setEncoding('utf8').on('data', add);
    child.stderr.setEncoding('utf8').on('data', add);
    child.once('error', (error) => resolve({ ok: false, output: error.message }));
    child.once('close', (code) => resolve({ ok: code === 0, output }));
  });
}

/** Runs a program that must succeed; where it does not, the command to repeat it by hand is in the message. */
export async function mustRun(what, command, file, args, options) {
  const { ok, output } = await run(file, args, options);
  if (ok) return output;
  throw new Missing(`${what}. ${file} said:\n${shortened(output)}\n`, command);
}

/** Both ends of what a program printed: some name the cause first and explain themselves after it, others end with it. */
function shortened(output) {
  const lines = output.trimEnd().split('\n');
  return lines.length <= 24 ? lines.join('\n') : [...lines.slice(0, 12), '...', ...lines.slice(-10)].join('\n');
}
