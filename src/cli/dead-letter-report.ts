import type { DeadLetter } from '../reconciler/http/dead-letter-store.ts';
import type { LetterList, LetterWithRows } from './dead-letters-desk.ts';
import { count } from './progress-line.ts';

const REASONS: Readonly<Record<DeadLetter['reason'], string>> = {
  schema: 'lacks a required field, not sent',
  refused: 'refused by FASTAAPS',
};
const MESSAGE_CHARACTERS = 200;

/** The dead letters of a connector, one a line. */
export function describeLetters({ connector, deadLetters, more }: LetterList): string {
  const head = `${connector}: ${count(deadLetters.length)} dead letters${more ? ', and more: --limit' : ''}`;
  return `${[head, ...deadLetters.map((letter) => `  ${line(letter)}`)].join('\n')}\n`;
}

/** One dead letter with the rows that it is about. */
export function describeLetter(letter: LetterWithRows): string {
  const { connector, id, path, discardedAt, discardedBy, replaying, createdAt, rows } = letter;
  const lines = [
    `${connector} ${id}`,
    `  version    ${letter.version} of epoch ${letter.epoch}, ${createdAt}`,
    `  reason     ${REASONS[letter.reason]}${said(letter)}`,
    `  path       ${path || 'the document as a whole'}`,
  ];
  if (discardedAt) lines.push(`  set aside  ${discardedAt} by ${discardedBy}`);
  if (replaying) lines.push('  replaying  a new version is being made');
  const which = rows === null ? 'the replica is not loaded yet' : rows.length === 0 ? 'none (any more)' : '';
  lines.push(`  SIIRAyS    ${which || `${count(rows!.length)} rows, as the replica has them:`}`);
  for (const { table, key } of rows ?? []) {
    lines.push(
      `    ${table}  ${Object.entries(key)
        .map(([name, value]) => `${name}=${value}`)
        .join(' ')}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function line(letter: DeadLetter): string {
  const state = letter.replaying ? '  (replaying)' : letter.discardedAt ? `  (set aside by ${letter.discardedBy})` : '';
  const where = letter.path || 'the document as a whole';
  return `${letter.id}  version ${letter.epoch}.${letter.version}  ${letter.createdAt}  ${REASONS[letter.reason]}: ${where}${state}`;
}

/** What FASTAAPS said, or the fields that are missing. */
function said({ detail }: DeadLetter): string {
  const { missing } = (detail ?? {}) as { missing?: string[] };
  const details = Array.isArray(detail) ? (detail as { msg?: unknown }[]) : [];
  const messages = missing ?? details.map(({ msg }) => msg).filter((msg) => typeof msg === 'string');
  return messages.length === 0 ? '' : `: ${messages.join(', ').slice(0, MESSAGE_CHARACTERS)}`;
}
