import { TextDecoder } from 'node:util';

/** A line that cannot be taken: over the limit, or not UTF-8. */
export class NdjsonError extends Error {
  override readonly name = 'NdjsonError';
  readonly reason: 'size' | 'encoding';

  constructor(reason: 'size' | 'encoding', message: string) {
    super(message);
    this.reason = reason;
  }
}

const LINE_FEED = 0x0a;

/**
 * Cuts a byte stream into lines without their line feed; a last line needs none. Blank lines are passed over. The
 * source is read only as fast as the lines are taken, and at most one line of `maxBytes` is held.
 */
export async function* readLines(
  source: AsyncIterable<Uint8Array>,
  maxBytes = Number.POSITIVE_INFINITY,
): AsyncGenerator<{ number: number; text: string }> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let number = 0;
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  for await (const chunk of source) {
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); ; end = chunk.indexOf(LINE_FEED, from)) {
      const piece = chunk.subarray(from, end === -1 ? chunk.length : end);
      heldBytes += piece.length;
      if (heldBytes > maxBytes) {
        throw new NdjsonError('size', `line ${number + 1} is longer than ${maxBytes} bytes`);
      }
      if (end === -1) {
        if (piece.length > 0) held.push(piece);
        break;
      }
      number += 1;
      const text = decode(decoder, held.length === 0 ? piece : Buffer.concat([...held, piece]), number);
      if (text.trim() !== '') yield { number, text };
      held = [];
      heldBytes = 0;
      from = end + 1;
    }
  }
  const text = decode(decoder, Buffer.concat(held), number + 1);
  if (text.trim() !== '') yield { number: number + 1, text };
}

function decode(decoder: TextDecoder, bytes: Uint8Array, number: number): string {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    throw new NdjsonError('encoding', `line ${number} is not UTF-8: ${(error as Error).message}`);
  }
}
