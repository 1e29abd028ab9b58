const PIECE_BYTES = 64 * 1024;

export interface BodyWatch {
  /** Bytes handed over so far. */
  bytes: number;
  /** The error of the source itself, which must not be taken for one of the network. */
  sourceError?: unknown;
}

/**
 * A request body from many small parts: pieces of a sensible size, taken from the source only as fast as the peer
 * takes them. undici has no timeout for a peer that stops reading, so this has one.
 * @param onStall called when a piece was not taken for `stallMs`
 */
export async function* requestBody(
  parts: AsyncIterable<string | Uint8Array>,
  watch: BodyWatch,
  stallMs: number,
  onStall: () => void,
): AsyncGenerator<Buffer> {
  let timer: NodeJS.Timeout | undefined;
  try {
    for await (const piece of pieces(parts, watch)) {
      watch.bytes += piece.length;
      timer = setTimeout(onStall, stallMs);
      yield piece;
      clearTimeout(timer);
    }
  } finally {
    clearTimeout(timer);
  }
}

async function* pieces(parts: AsyncIterable<string | Uint8Array>, watch: BodyWatch): AsyncGenerator<Buffer> {
  let held: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of parts) {
      const buffer =
        typeof part === 'string' ? Buffer.from(part) : Buffer.from(part.buffer, part.byteOffset, part.length);
      held.push(buffer);
      bytes += buffer.length;
      if (bytes < PIECE_BYTES) continue;
      yield Buffer.concat(held);
      held = [];
      bytes = 0;
    }
  } catch (error) {
    watch.sourceError = error;
    throw error;
  }
  if (bytes > 0) yield Buffer.concat(held);
}
