const PUNCTUATION = new Set(['{', '}', '[', ']', ',', ':']);

/**
 * Cuts a JSON text that comes in pieces into its tokens, raw: `{`, `"name"`, `:`, `12`, `}` ... For answers that are
 * too large to be held whole; the grammar is left to the caller.
 */
export class JsonTokens {
  private held = '';

  *push(piece: string): Generator<string> {
    const text = this.held + piece;
    let at = 0;
    while (at < text.length) {
      const end = this.endOfToken(text, at);
      if (end === undefined) break;
      const token = text.slice(at, end).trim();
      if (token !== '') yield token;
      at = end;
    }
    this.held = text.slice(at);
  }

  /** The last token, where it was a bare number or word; throws where the text ended inside a string. */
  *end(): Generator<string> {
    const token = this.held.trim();
    if (token.startsWith('"')) throw new SyntaxError('JSON text ends inside a string');
    if (token !== '') yield token;
  }

  /** The index after the token (or the run of blanks) at `at`; undefined where the piece ends before that is certain. */
  private endOfToken(text: string, at: number): number | undefined {
    const first = text.charAt(at);
    if (PUNCTUATION.has(first)) return at + 1;
    const pattern = first === '"' ? STRING : /\s/.test(first) ? BLANKS : SCALAR;
    pattern.lastIndex = at;
    if (!pattern.test(text)) return undefined;
    const end = pattern.lastIndex;
    return pattern === SCALAR && end === text.length ? undefined : end;
  }
}

const STRING = /"(?:[^"\\]|\\.)*"/sy;
const BLANKS = /\s+/y;
const SCALAR = /[^\s{}[\],:"]+/y;
