/**
 * A row as pgoutput's TupleData (PostgreSQL manual, 54.9 "Logical Replication Message Formats"): a 16-bit column count,
 * then for each column `n` (NULL), `u` (unchanged TOASTed value) or `t`, 32-bit length, text. The one form in which rows
 * travel through the producer, from the stream and from snapshots alike.
 */
export type Tuple = Buffer;

export const TUPLE_NULL = 0x6e;
export const TUPLE_UNCHANGED = 0x75;
export const TUPLE_TEXT = 0x74;

/** Makes a tuple of texts. */
export function tupleOf(values: readonly (string | null)[]): Tuple {
  let size = 2;
  for (const value of values) size += value === null ? 1 : 5 + Buffer.byteLength(value);
  const tuple = Buffer.allocUnsafe(size);
  let at = tuple.writeUInt16BE(values.length, 0);
  for (const value of values) {
    if (value === null) {
      tuple[at++] = TUPLE_NULL;
      continue;
    }
    tuple[at++] = TUPLE_TEXT;
    const length = tuple.write(value, at + 4, 'utf8');
    at = tuple.writeUInt32BE(length, at) + length;
  }
  return tuple;
}

/** The end of the tuple that starts at `start` of a larger buffer. */
export function tupleEnd(buffer: Buffer, start: number): number {
  const count = buffer.readUInt16BE(start);
  let at = start + 2;
  for (let i = 0; i < count; i++) at += buffer[at] === TUPLE_TEXT ? 5 + buffer.readUInt32BE(at + 1) : 1;
  return at;
}

/** Cuts a tuple into its columns' encoded pieces, so that pieces of two rows can be put together. */
function pieces(tuple: Tuple): Buffer[] {
  const count = tuple.readUInt16BE(0);
  const result: Buffer[] = [];
  let at = 2;
  for (let i = 0; i < count; i++) {
    const end = at + (tuple[at] === TUPLE_TEXT ? 5 + tuple.readUInt32BE(at + 1) : 1);
    result.push(tuple.subarray(at, end));
    at = end;
  }
  return result;
}

/** The text of the columns at `places`, NULL and unchanged ones told apart: the identity of a row as one string. */
export function tupleKey(tuple: Tuple, places: readonly number[]): string {
  const columns = pieces(tuple);
  return places.map((place) => columns[place]!.toString('latin1')).join('\u0000');
}

/** Whether a tuple holds placeholders of unchanged TOASTed values. */
export function hasUnchanged(tuple: Tuple): boolean {
  const count = tuple.readUInt16BE(0);
  let at = 2;
  for (let i = 0; i < count; i++) {
    if (tuple[at] === TUPLE_UNCHANGED) return true;
    at += tuple[at] === TUPLE_TEXT ? 5 + tuple.readUInt32BE(at + 1) : 1;
  }
  return false;
}

/** Puts the old row's values in place of a new row's placeholders. */
export function fillUnchanged(next: Tuple, old: Tuple): Tuple {
  if (!hasUnchanged(next)) return next;
  const before = pieces(old);
  const filled = pieces(next).map((piece, i) => (piece[0] === TUPLE_UNCHANGED ? before[i]! : piece));
  return Buffer.concat([next.subarray(0, 2), ...filled]);
}
