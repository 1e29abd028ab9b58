import { quoteLiteral } from '../../postgres/identifier.ts';

/**
 * A number of jsonb's text that is a member of an object and ends in zeros after its point. The sign before the quote
 * shows that the quote is no escaped one and ends a name, since one that begins a text follows a blank or a bracket.
 */
const NUMBER = '([A-Za-z0-9_]": -?[0-9]+)(?:\\.0+|(\\.[0-9]*[1-9])0+)(?=[,}])';
const SHORTENED = '\\1\\2';

/**
 * SQL of the hash (64 hexadecimal digits) of a document. Equal hashes are equal documents. Unlike ones are a suspicion
 * only: jsonb settles the order of members, blanks, escapes and exponents, but keeps 2.50 apart from 2.5, of which only
 * members of objects are made alike here; names that are not ASCII are ordered by the bytes of the server's encoding.
 * @param json SQL of the document as JSON text; an error of class 22 or 54 where jsonb cannot hold it
 */
export function documentHash(json: string): string {
  return textHash(`regexp_replace((${json})::jsonb::text, ${quoteLiteral(NUMBER)}, ${quoteLiteral(SHORTENED)}, 'g')`);
}

/** SQL of the hash of a text as it is, whatever the server's encoding. */
export function textHash(text: string): string {
  return `encode(sha256(convert_to(${text}, 'UTF8')), 'hex')`;
}

/** Whether the error says that jsonb cannot hold a text (PostgreSQL manual, appendix A: data exceptions, limits). */
export function isNoJsonb(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^(22|54)/.test(code);
}
