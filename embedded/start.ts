import { PartError } from './part.ts';
import { StateInUse } from './stack/state-lock.ts';
import { type Stack, startStack } from './stack.ts';
import { BatchPrinter } from './start/batch-printer.ts';
import { whenBootstrapEnds } from './start/bootstrap-watch.ts';
import { describeChange, describeFirstLoad, describeStack } from './start/describe.ts';
import { readOptions, USAGE } from './start/options.ts';

const EXIT = { ok: 0, failed: 1, usage: 64, inUse: 75 };

/** Runs the whole pipeline until a signal comes, or the end of whoever started this. Returns the exit code. */
async function main(args: string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === 'string') {
    console.error(`${options}\n${USAGE}`);
    return EXIT.usage;
  }
  const ending = endingSignal();
  const batches = new BatchPrinter(print);
  const startedAt = performance.now();
  let stack: Stack | undefined;
  try {
    stack = await startStack({
      ...options,
      signal: ending,
      onChange: (change) => {
        const line = describeChange(change);
        if (line) print(line);
      },
      onLog: (name, line) => batches.take(name, line),
    });
    print(describeStack(stack, options.dir));
    const load = await Promise.race([stack.firstLoad(), untilAborted(ending)]);
    if (load) print(describeFirstLoad(load, performance.now() - startedAt));
    await untilAborted(ending);
    print('ending ...');
    await stack.stop();
    return EXIT.ok;
  } catch (error) {
    if (ending.aborted) return EXIT.ok;
    await stack?.stop();
    return explain(error);
  }
}

function explain(error: unknown): number {
  if (error instanceof StateInUse) {
    console.error(error.message);
    return EXIT.inUse;
  }
  if (!(error instanceof PartError)) throw error;
  console.error(`${error.message}\nIf the state in .dev is the cause: npm start -- --fresh forgets it.`);
  return EXIT.failed;
}

/** Aborted by the first SIGINT, SIGTERM or SIGHUP, and when the bootstrap has ended; more of them change nothing. */
function endingSignal(): AbortSignal {
  const ending = new AbortController();
  const end = (): void => ending.abort();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, end);
  whenBootstrapEnds(end);
  // A reader that went away (npm start | head) is an end as well, and must not be a crash.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', end);
  return ending.signal;
}

function untilAborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

// A part that was still starting ends with this process.
process.exit(await main(process.argv.slice(2)));
