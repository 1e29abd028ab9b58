/** The command `reconcile`: one run in this process, told on the terminal. */
import { type Command, InvalidArgumentError } from 'commander';
import { loadReconcileConfig } from '../config/config.ts';
import { createLogger } from '../logging/logger.ts';
import type { Reconciliation } from '../reconciler/reconciliation.ts';
import type { Asker, Run, RunState } from '../reconciler/types.ts';
import { withDevEndpoints } from './dev-endpoints.ts';
import { EXIT } from './exit-codes.ts';
import { ProgressLine } from './progress-line.ts';
import { describeRun } from './run-report.ts';
import { userName } from './user-name.ts';

interface Flags {
  mode?: string;
  direct?: true;
  connector?: string;
  ids?: string[];
  tables?: string[];
  target?: string;
  stopAfter?: number;
  maxTime?: string;
  resume?: string;
  wait?: true;
  json?: true;
}

const EXIT_OF: Readonly<Record<RunState, number>> = {
  equal: EXIT.ok,
  repaired: EXIT.ok,
  differences: EXIT.differences,
  undecided: EXIT.undecided,
  cancelled: EXIT.cancelled,
  interrupted: EXIT.cancelled,
  failed: EXIT.failed,
  queued: EXIT.failed,
  running: EXIT.failed,
};

const LOOK_MS = 250;
/** Differences that the report shows; all of them are in the history, and in --json. */
const SHOWN = 20;
const MOST = 10_000;

const HELP = `
Examples:
  npm run reconcile                                   compares all and repairs what differs
  npm run reconcile -- --mode verify --ids 1605,1610  only reports, of two documents
  npm run reconcile -- --direct --mode verify         SIIRAyS's own documents against FASTAAPS
  npm run reconcile -- --mode restore --target backup makes a whole copy under db_tag=backup

Exit codes:
  0   equal, or repaired
  1   failed
  2   differences were found by verify, or left by repair (a dead letter)
      (whether or not something else was left undecided: the report says so)
  3   undecided: something kept changing, could not be looked at in time, or an id asked for is known to no side
  4   cancelled (also by Ctrl-C: --resume RUN goes on)
  75  another run is under way (--wait queues behind it)`;

/** Adds `reconcile`. @param exit is told the exit code */
export function addReconcileCommand(program: Command, exit: (code: number) => void): void {
  program
    .command('reconcile')
    .description('prove that SIIRAyS and FASTAAPS are equal, and repair what is not')
    .option('--mode <mode>', 'verify, repair or restore (default: repair)')
    .option('--direct', "compare SIIRAyS's own documents with FASTAAPS")
    .option('--connector <name>', 'only this connector (default: all)')
    .option('--ids <ids>', 'only these documents, with commas', list)
    .option('--tables <tables>', 'only rows of these tables, with commas', list)
    .option('--target <db_tag>', 'the set that restore replaces')
    .option('--stop-after <n>', 'end after so many differences', wholeNumber)
    .option('--max-time <duration>', 'end after so long, e.g. 10m')
    .option('--resume <run>', 'go on where this run has stopped')
    .option('--wait', 'queue behind a run that is under way')
    .option('--json', 'print the run and its differences as JSON')
    .addHelpText('after', HELP)
    .action(async (flags: Flags) => exit(await reconcile(flags)));
}

function list(text: string): string[] {
  return text.split(',').map((part) => part.trim());
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('expected a whole number above 0');
  return Number(text);
}

async function reconcile(flags: Flags): Promise<number> {
  const { resume, wait: _wait, json: _json, ...others } = flags;
  if (resume !== undefined && Object.keys(others).length > 0) {
    process.stderr.write('--resume goes on with what that run was asked: only --wait and --json may stand beside it\n');
    return EXIT.usage;
  }
  const config = loadReconcileConfig(withDevEndpoints(process.env));
  const [{ openReconciliation }, { RunConflict }] = await Promise.all([
    import('../reconciler/reconciliation.ts'),
    import('../reconciler/types.ts'),
  ]);
  const ending = new AbortController();
  const end = (): void => ending.abort(new Error('ended from the terminal'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
  // The terminal belongs to the report; what the parts log is for the processes' logs.
  const log = createLogger({ name: 'reconcile', level: 'silent' });
  const reconciliation = await openReconciliation(config, log, ending.signal);
  try {
    const run = await take(reconciliation, flags, ending.signal);
    const ended = await follow(reconciliation, run, flags.json === true);
    await report(reconciliation, ended, flags.json === true);
    return EXIT_OF[ended.state];
  } catch (error) {
    if (error instanceof RunConflict) {
      process.stderr.write(`${error.message}: --wait queues behind it\n`);
      return EXIT.busy;
    }
    if (ending.signal.aborted) return EXIT.cancelled;
    if (isWrongRequest(error)) {
      process.stderr.write(error.body.errors.map(describeMistake).join(''));
      return EXIT.usage;
    }
    throw error;
  } finally {
    await reconciliation.close();
  }
}

/** Makes the run. @throws Problem of the request's mistakes; RunConflict; NotResumable */
async function take({ store, connectors }: Reconciliation, flags: Flags, signal: AbortSignal): Promise<Run> {
  const asker: Asker = { trigger: 'cli', name: userName() };
  const before = flags.resume === undefined ? null : await store.get(flags.resume);
  if (flags.resume !== undefined && before === null) throw new Error(`there is no run ${flags.resume}`);
  const options = before?.options ?? (await optionsOf(flags, connectors));
  const extra = before ? { resumes: before.id } : {};
  if (!flags.wait) return (await store.create(options, asker, extra)).run;
  const [other] = await store.running();
  if (other) process.stderr.write(`waiting for run ${other.id} ...\n`);
  return (await store.queue(options, asker, extra, signal)).run;
}

/** The same rules as the HTTP API's. */
async function optionsOf(flags: Flags, connectors: Reconciliation['connectors']): Promise<Run['options']> {
  const [{ runOptionsOf }, { runRequest }, { read }] = await Promise.all([
    import('../reconciler/http/run-request.ts'),
    import('../reconciler/http/schemas.ts'),
    import('../reconciler/http/mistakes.ts'),
  ]);
  const { mode, direct, connector, ids, tables, target, stopAfter, maxTime } = flags;
  const given = { mode, direct, connector, ids, tables, target, stopAfter, maxTime };
  const request = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return runOptionsOf(read(runRequest, request, 'body'), connectors);
}

interface Mistake {
  /** Of the request that the flags make, e.g. /maxTime. */
  pointer?: string;
  detail: string;
}

function describeMistake({ pointer = '', detail }: Mistake): string {
  const name = pointer.split('/')[1]?.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return `${name ? `--${name}: ` : ''}${detail}\n`;
}

function isWrongRequest(error: unknown): error is Error & { body: { errors: Mistake[] } } {
  const body = (error as { body?: { errors?: unknown } }).body;
  return error instanceof Error && error.name === 'Problem' && Array.isArray(body?.errors);
}

async function follow({ store, execute }: Reconciliation, run: Run, quiet: boolean): Promise<Run> {
  const line = new ProgressLine(process.stderr, quiet);
  line.begin(run);
  const looking = setInterval(() => {
    store.get(run.id).then(
      (now) => now && line.show(now),
      // The run itself says what is wrong with `sync`.
      () => undefined,
    );
  }, LOOK_MS);
  try {
    return await execute(run);
  } finally {
    clearInterval(looking);
    line.end();
  }
}

async function report({ store }: Reconciliation, run: Run, json: boolean): Promise<void> {
  const { differences } = await store.differences(run.id, { limit: json ? MOST : SHOWN });
  if (json) process.stdout.write(`${JSON.stringify({ run, differences }, null, 2)}\n`);
  else process.stdout.write(describeRun(run, differences));
}
