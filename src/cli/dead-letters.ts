/** The commands `dead-letters`: documents that were refused are looked at, made again, or set aside. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { loadDeadLettersConfig } from '../config/config.ts';
import { duration } from '../config/units.ts';
import type { DeadLetterFilter } from '../reconciler/http/dead-letter-store.ts';
import { describeLetter, describeLetters } from './dead-letter-report.ts';
import type { DeadLettersDesk } from './dead-letters-desk.ts';
import { withDevEndpoints } from './dev-endpoints.ts';
import { EXIT } from './exit-codes.ts';

interface Flags {
  connector?: string;
  reason?: DeadLetterFilter['reason'];
  since?: string;
  state?: 'open' | 'discarded' | 'all';
  ids?: string[];
  limit?: number;
  all?: true;
  wait?: number;
  check?: true;
  json?: true;
}

const LIST_LIMIT = 1_000;
const WAIT = duration('1s', '1h');

const LIST_HELP = `
Examples:
  npm run dead-letters -- list                              those that are open
  npm run dead-letters -- list --reason refused --since 2h  what FASTAAPS refused within two hours
  npm run dead-letters -- list --check                      for a monitor: 2 where there are some

Exit codes: 0 done; 1 failed; 2 with --check, where there are some; 64 wrong command line; 78 wrong configuration`;

const ONE_HELP = 'Exit codes: 0 done; 1 failed; 64 wrong command line; 66 no such dead letter; 78 wrong configuration';

const REPLAY_HELP = `
Examples:
  npm run dead-letters -- replay 1605 --wait 30s      and tells whether FASTAAPS takes it now
  npm run dead-letters -- replay --all --reason refused

A new version of each document is made of what SIIRAyS holds now, and sent.
${ONE_HELP.replace('64', '2 with --wait: refused again; 3 with --wait: not in time; 64')}`;

/** Adds `dead-letters list | show | replay | discard`. @param exit is told the exit code */
export function addDeadLettersCommands(program: Command, exit: (code: number) => void): void {
  const letters = program
    .command('dead-letters')
    .description('documents that were refused: look, send again, set aside');

  common(letters.command('list'))
    .description('list dead letters by id: document, version, path, reason')
    .option('--ids <ids>', 'only these documents, with commas', list)
    .addOption(
      new Option('--state <state>', 'open, discarded (set aside) or all').choices(['open', 'discarded', 'all']),
    )
    .addOption(reasonOption())
    .option('--since <time>', 'not older than this: 30m, 2h, 7d, or 2026-11-25T09:00:00Z', since)
    .option('--limit <n>', `so many of each connector at most (default: ${LIST_LIMIT})`, wholeNumber)
    .option('--check', 'end with 2 where there are some')
    .addHelpText('after', LIST_HELP)
    .action(async (flags: Flags) => exit(await withDesk(flags, false, (desk) => listLetters(desk, flags))));

  common(letters.command('show'))
    .description('show a dead letter with the rows of SIIRAyS that the refused part of the document is made of')
    .argument('<id>', "the document's id")
    .addHelpText('after', `\nExample:\n  npm run dead-letters -- show 1605\n\n${ONE_HELP}`)
    .action(async (id: string, flags: Flags) =>
      exit(await withDesk(flags, true, (desk) => showLetter(desk, id, flags))),
    );

  common(letters.command('replay'))
    .description('make new versions of refused documents, and send them')
    .argument('[ids...]', "the documents' ids")
    .option('--all', 'all that are open and that the filters leave')
    .addOption(reasonOption())
    .option('--since <time>', 'with --all: not older than this', since)
    .option('--wait <duration>', 'wait so long for FASTAAPS to take them', waiting)
    .addHelpText('after', REPLAY_HELP)
    .action(async (ids: string[], flags: Flags, command: Command) => {
      const filters = flags.reason !== undefined || flags.since !== undefined;
      if (ids.length > 0 === (flags.all === true)) command.error('error: either ids or --all must be given');
      if (filters && !flags.all) command.error('error: --reason and --since go with --all');
      exit(await withDesk(flags, true, (desk) => replayLetters(desk, ids, flags)));
    });

  common(letters.command('discard'))
    .description('set dead letters aside: known, and accepted as they are; a newer version supersedes that, too')
    .argument('<ids...>', "the documents' ids")
    .addHelpText('after', `\nExample:\n  npm run dead-letters -- discard 1605 1610\n\n${ONE_HELP}`)
    .action(async (ids: string[], flags: Flags) =>
      exit(await withDesk(flags, true, (desk) => discardLetters(desk, ids, flags))),
    );
}

function common(command: Command): Command {
  return command
    .option('--connector <name>', 'of this connector (list: default all; else: the only one there is)')
    .option('--json', 'print JSON');
}

function reasonOption(): Option {
  const meaning = 'schema (a required field is missing, never sent) or refused (FASTAAPS answered 422)';
  return new Option('--reason <reason>', `only this reason: ${meaning}`).choices(['schema', 'refused']);
}

function list(text: string): string[] {
  return text.split(',').map((part) => part.trim());
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 1 to 999999');
  return Number(text);
}

function waiting(text: string): number {
  const read = WAIT.safeParse(text);
  if (!read.success) throw new InvalidArgumentError('expected a duration such as 30s, from 1s to 1h');
  return read.data;
}

/** How long ago, or a time of ISO 8601; as ISO 8601 in UTC. */
function since(text: string): string {
  const ago = duration('1s', '3650d').safeParse(text);
  const at = ago.success ? Date.now() - ago.data : /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) throw new InvalidArgumentError('expected 30m, 2h, 7d, or a time such as 2026-11-25T09:00:00Z');
  return new Date(at).toISOString();
}

/** @param single whether one connector must be meant */
async function withDesk(
  flags: Flags,
  single: boolean,
  work: (desk: DeadLettersDesk) => Promise<number>,
): Promise<number> {
  const { syncUrl, connectorsDir } = loadDeadLettersConfig(withDevEndpoints(process.env));
  const [{ loadConnectors }, { unknownConnector }, { openDeadLetters }] = await Promise.all([
    import('../connector/load.ts'),
    import('../reconciler/http/run-request.ts'),
    import('./dead-letters-desk.ts'),
  ]);
  const connectors = loadConnectors(connectorsDir);
  const meant = connectors.filter(({ name }) => flags.connector === undefined || name === flags.connector);
  if (meant.length === 0 || (single && meant.length > 1)) {
    const names = connectors.map(({ name }) => name).join(' or ');
    const known = flags.connector === undefined ? `say which: ${names}` : unknownConnector(flags.connector, connectors);
    process.stderr.write(`--connector: ${known}\n`);
    return EXIT.usage;
  }
  const desk = openDeadLetters(syncUrl, meant);
  try {
    return await work(desk);
  } finally {
    await desk.close();
  }
}

async function listLetters(desk: DeadLettersDesk, flags: Flags): Promise<number> {
  const { state = 'open', reason, since: from, ids, limit = LIST_LIMIT } = flags;
  const filter = { discarded: state === 'all' ? undefined : state === 'discarded', reason, since: from, ids };
  const lists = await desk.list({ ...filter, limit });
  print(flags, lists, () => lists.map(describeLetters).join(''));
  return flags.check && lists.some(({ deadLetters }) => deadLetters.length > 0) ? EXIT.differences : EXIT.ok;
}

async function showLetter(desk: DeadLettersDesk, id: string, flags: Flags): Promise<number> {
  const letter = await desk.show(id);
  if (letter === null) return none(desk, [id]);
  print(flags, letter, () => describeLetter(letter));
  return EXIT.ok;
}

async function replayLetters(desk: DeadLettersDesk, ids: string[], flags: Flags): Promise<number> {
  const { all, reason, since: from, wait } = flags;
  const asked = all ? await desk.replayAll({ reason, since: from }) : await desk.replay(ids);
  const outcome = wait === undefined ? undefined : await desk.outcome(asked.letters, wait);
  print(flags, { connector: desk.connector, replayed: asked.replayed, missing: asked.missing, ...outcome }, () => {
    const lines = [`${desk.connector}: ${asked.replayed} documents are made anew and sent`];
    if (outcome)
      lines.push(
        `  taken: ${outcome.taken.length}, refused again: ${outcome.refused.length}, not yet: ${outcome.open.length}`,
      );
    for (const letter of outcome?.refused ?? [])
      lines.push(`- ${letter.id}: ${letter.reason}, ${letter.path ?? 'as a whole'}`);
    return `${lines.join('\n')}\n`;
  });
  if (asked.missing.length > 0) return none(desk, asked.missing);
  if (!outcome) return EXIT.ok;
  return outcome.refused.length > 0 ? EXIT.differences : outcome.open.length > 0 ? EXIT.undecided : EXIT.ok;
}

async function discardLetters(desk: DeadLettersDesk, ids: string[], flags: Flags): Promise<number> {
  const { deadLetters, missing } = await desk.discard(ids);
  print(flags, { connector: desk.connector, deadLetters, missing }, () => {
    const words = deadLetters.map(({ id, discardedBy }) => `${desk.connector} ${id}: set aside by ${discardedBy}\n`);
    return words.join('');
  });
  return missing.length > 0 ? none(desk, missing) : EXIT.ok;
}

function none(desk: DeadLettersDesk, ids: readonly string[]): number {
  process.stderr.write(`${desk.connector} has no dead letter of ${ids.map((id) => JSON.stringify(id)).join(', ')}\n`);
  return EXIT.absent;
}

function print(flags: Flags, value: unknown, words: () => string): void {
  process.stdout.write(flags.json ? `${JSON.stringify(value, null, 2)}\n` : words());
}
