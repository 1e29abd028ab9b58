import { memberTexts } from '../../src/fastaaps/json-text.ts';
import type { JsonId } from './answer.ts';

/** A whole number without leading zeros: such an id is a number in JSON, every other one a text. */
const WHOLE = /^(0|-?[1-9][0-9]*)$/;
const LONGEST = 200;

/**
 * The id that a JSON token stands for, as text. Taken from the raw token, so that ids beyond 2^53 keep their digits.
 * @returns undefined where the token is no id: neither a whole number nor a text of 1 to 200 signs
 */
export function idOfToken(token: string | undefined): string | undefined {
  if (token === undefined) return undefined;
  const id = token.startsWith('"') ? (JSON.parse(token) as string) : WHOLE.test(token) ? token : '';
  return id.length > 0 && id.length <= LONGEST && !id.includes('\0') ? id : undefined;
}

/** The JSON token of an id: 1601 or "a-1". */
export function idToken(id: string): string {
  return WHOLE.test(id) ? id : JSON.stringify(id);
}

/** The id for a detail that JSON.stringify writes; beyond 2^53 as text, since a rounded number would be another id. */
export function idForDetail(id: string): JsonId {
  const number = Number(id);
  return WHOLE.test(id) && Number.isSafeInteger(number) ? number : id;
}

/** The id that a document states at `path`, e.g. informacion_general.id_siirays. */
export function idInDocument(document: string, path: readonly string[]): string | undefined {
  let text: string | undefined = document;
  for (const name of path) text = text?.startsWith('{') ? memberTexts(text).get(name) : undefined;
  return idOfToken(text);
}
