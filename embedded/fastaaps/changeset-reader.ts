import { memberTexts } from '../../src/fastaaps/json-text.ts';
import { NdjsonError, readLines } from '../../src/fastaaps/ndjson.ts';
import { refusal } from './answer.ts';
import { idOfToken } from './document-id.ts';

/** The first line of a changeset: what the set will equal once it is applied. */
export interface ChangesetHeader {
  source: string;
  epoch: number;
  /** Decimal. */
  version: string;
  history: number;
  /** Decimal. */
  seq: string;
  /** X/Y */
  lsn: string;
}

export interface Change {
  id: string;
  /** Decimal, compared as a number. */
  version: string;
  /** The document's own text, every digit of it; null for a delete. */
  text: string | null;
  /** A parsed copy, for validation only; undefined for a delete. */
  parsed?: unknown;
}

const DECIMAL = /^(0|[1-9][0-9]{0,99})$/;
const LSN = /^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/i;
const MAX_INTEGER = 2_147_483_647;

/**
 * Reads a changeset: the header, then the changes one by one as they are taken. A line that is no change of the
 * agreed form is answered with 400, one over the limit with 413.
 */
export async function openChangeset(
  body: AsyncIterable<Uint8Array>,
  maxLineBytes: number,
): Promise<{ header: ChangesetHeader; changes: AsyncGenerator<Change> }> {
  const lines = linesOf(body, maxLineBytes);
  const first = await lines.next();
  if (first.done) throw refusal(400, 'the changeset is empty: the first line must be the header');
  const header = readHeader(first.value.text);
  async function* changes(): AsyncGenerator<Change> {
    for await (const { number, text } of lines) yield readChange(number, text);
  }
  return { header, changes: changes() };
}

async function* linesOf(body: AsyncIterable<Uint8Array>, maxLineBytes: number) {
  try {
    yield* readLines(body, maxLineBytes);
  } catch (error) {
    if (error instanceof NdjsonError) throw refusal(error.reason === 'size' ? 413 : 400, error.message);
    throw error;
  }
}

function readHeader(text: string): ChangesetHeader {
  const header = parseObject(1, text);
  const { source, epoch, version, history, seq, lsn } = header;
  const wrong = [
    typeof source === 'string' ? '' : 'source (text)',
    isCounter(epoch) ? '' : 'epoch (integer)',
    isDecimal(version) ? '' : 'version (decimal text)',
    isCounter(history) ? '' : 'history (integer)',
    isDecimal(seq) ? '' : 'seq (decimal text)',
    typeof lsn === 'string' && LSN.test(lsn) ? '' : 'lsn (X/Y)',
  ].filter((name) => name !== '');
  if (wrong.length > 0) throw refusal(400, `line 1: the header lacks or has wrong: ${wrong.join(', ')}`);
  return { source, epoch, version, history, seq, lsn } as ChangesetHeader;
}

function readChange(number: number, text: string): Change {
  const { op, version, document } = parseObject(number, text);
  const texts = memberTexts(text);
  const id = idOfToken(texts.get('id'));
  if (id === undefined) throw refusal(400, `line ${number}: id must be a whole number or a text of 1 to 200 signs`);
  if (!isDecimal(version)) throw refusal(400, `line ${number}: version must be a decimal text`);
  if (op === 'delete') return { id, version, text: null };
  if (op !== 'upsert') throw refusal(400, `line ${number}: op must be upsert or delete`);
  const raw = texts.get('document');
  if (raw === undefined) throw refusal(400, `line ${number}: an upsert needs a document`);
  return { id, version, text: raw, parsed: document };
}

function parseObject(number: number, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw refusal(400, `line ${number} is not JSON`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw refusal(400, `line ${number} is not a JSON object`);
  }
  return value as Record<string, unknown>;
}

function isCounter(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_INTEGER;
}

function isDecimal(value: unknown): value is string {
  return typeof value === 'string' && DECIMAL.test(value);
}
