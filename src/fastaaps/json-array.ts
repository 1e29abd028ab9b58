import { TextDecoder } from 'node:util';
import { BACKSLASH, CLOSE_BRACE, CLOSE_BRACKET, COMMA, isSpace, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-text.ts';

/** A JSON array that cannot be read on: broken syntax, or an element over the limit. */
export class JsonArrayError extends Error {
  override readonly name = 'JsonArrayError';
  readonly reason: 'syntax' | 'size';

  constructor(reason: 'syntax' | 'size', message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * Reads a JSON array as a stream and gives its elements' raw texts, so that a set of any size passes through bounded
 * memory and no number is rounded. The elements' own syntax is left to whoever parses them.
 * @param source the bytes, UTF-8
 * @param maxElementLength longest element in UTF-16 units
 */
export async function* readArray(
  source: AsyncIterable<Uint8Array>,
  maxElementLength = Number.POSITIVE_INFINITY,
): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const splitter = new ArraySplitter(maxElementLength);
  for await (const bytes of source) yield* splitter.push(decode(decoder, bytes));
  yield* splitter.push(decode(decoder));
  splitter.end();
}

function decode(decoder: TextDecoder, bytes?: Uint8Array): string {
  try {
    return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
  } catch (error) {
    throw new JsonArrayError('syntax', `the array is not UTF-8: ${(error as Error).message}`);
  }
}

type State = 'start' | 'first' | 'element' | 'next' | 'done';

/** Finds where elements end: depth of brackets, and whether we are inside a string. */
class ArraySplitter {
  private state: State = 'start';
  private depth = 0;
  private inString = false;
  private escaped = false;
  private element = '';
  private readonly maxLength: number;

  constructor(maxLength: number) {
    this.maxLength = maxLength;
  }

  *push(text: string): Generator<string> {
    let from = 0;
    for (let at = 0; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      if (this.state === 'element') {
        if (!this.endsElement(code)) continue;
        yield this.take(text.slice(from, at));
        this.state = code === COMMA ? 'next' : 'done';
      } else if (!isSpace(code)) {
        this.state = this.between(code);
        from = at;
        if (this.state === 'element') this.endsElement(code);
      }
    }
    if (this.state === 'element') this.add(text.slice(from));
  }

  end(): void {
    if (this.state !== 'done') throw new JsonArrayError('syntax', 'the array ends early');
  }

  /** Outside of elements: `[` first, then elements with commas between (which `push` takes), nothing after `]`. */
  private between(code: number): State {
    const startsElement = code !== COMMA && code !== CLOSE_BRACKET;
    if (this.state === 'start' && code === OPEN_BRACKET) return 'first';
    if (this.state === 'first' && code === CLOSE_BRACKET) return 'done';
    if ((this.state === 'first' || this.state === 'next') && startsElement) return 'element';
    throw new JsonArrayError('syntax', `unexpected ${JSON.stringify(String.fromCharCode(code))} in the array`);
  }

  /** Moves over one sign of an element; true where that sign is already behind its end. */
  private endsElement(code: number): boolean {
    if (this.inString) {
      if (this.escaped) this.escaped = false;
      else if (code === BACKSLASH) this.escaped = true;
      else if (code === QUOTE) this.inString = false;
      return false;
    }
    if (this.depth === 0 && (code === COMMA || code === CLOSE_BRACKET)) return true;
    if (code === QUOTE) this.inString = true;
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) this.depth += 1;
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) this.depth -= 1;
    return false;
  }

  private add(piece: string): void {
    this.element += piece;
    if (this.element.length > this.maxLength) {
      throw new JsonArrayError('size', `an element of the array is longer than ${this.maxLength}`);
    }
  }

  private take(piece: string): string {
    this.add(piece);
    const element = this.element.trimEnd();
    this.element = '';
    return element;
  }
}
