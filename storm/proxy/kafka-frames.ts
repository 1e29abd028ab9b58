/**
 * Kafka's requests, one whole one each with its length (protocol guide, "Common Request and Response Structure"):
 * INT32 length, INT16 api key, INT16 version, ...
 */
export async function* splitFrames(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer[] = [];
  let size = 0;
  for await (const piece of pieces) {
    rest.push(piece);
    size += piece.length;
    while (size >= 4) {
      if (rest[0]!.length < 4) rest = [Buffer.concat(rest)];
      const length = 4 + rest[0]!.readInt32BE(0);
      if (size < length) break;
      const all = rest.length === 1 ? rest[0]! : Buffer.concat(rest);
      yield all.subarray(0, length);
      rest = length === all.length ? [] : [all.subarray(length)];
      size -= length;
    }
  }
}

/** Api keys of the protocol guide. */
export const API = { produce: 0, addPartitionsToTxn: 24, endTxn: 26 } as const;

export function apiKey(frame: Buffer): number {
  return frame.readInt16BE(4);
}
