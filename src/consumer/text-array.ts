const TEXT_OID = 25;
const HEADER_BYTES = 20;

/**
 * Encodes a one-dimensional text[] in PostgreSQL's binary format (src/backend/utils/adt/arrayfuncs.c, array_recv):
 * dimensions, has-nulls flag, element type, length, lower bound, then each element with its length (-1: NULL).
 * pg sends a Buffer as a binary parameter, so that no value is ever quoted or escaped, and '' stays apart from NULL.
 */
export function textArray(values: readonly (string | null)[]): Buffer {
  if (values.length === 0) return EMPTY;
  let size = HEADER_BYTES;
  let nulls = 0;
  const lengths = new Array<number>(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const length = value === null ? -1 : Buffer.byteLength(value);
    if (length < 0) nulls = 1;
    else size += length;
    lengths[i] = length;
    size += 4;
  }
  const out = Buffer.allocUnsafe(size);
  writeHeader(out, 1, nulls, values.length);
  let at = HEADER_BYTES;
  for (let i = 0; i < values.length; i++) {
    const length = lengths[i]!;
    at = out.writeInt32BE(length, at);
    if (length > 0) at += out.write(values[i]!, at, length, 'utf8');
  }
  return out;
}

function writeHeader(out: Buffer, dimensions: number, nulls: number, length: number): void {
  out.writeInt32BE(dimensions, 0);
  out.writeInt32BE(nulls, 4);
  out.writeInt32BE(TEXT_OID, 8);
  if (dimensions === 0) return;
  out.writeInt32BE(length, 12);
  out.writeInt32BE(1, 16);
}

const EMPTY = Buffer.alloc(12);
writeHeader(EMPTY, 0, 0, 0);

/** Turns rows into one text[] per column, as unnest() takes them. */
export function columnArrays(rows: readonly (readonly (string | null)[])[], columns: number): Buffer[] {
  const arrays: Buffer[] = [];
  for (let column = 0; column < columns; column++) arrays.push(textArray(rows.map((row) => row[column] ?? null)));
  return arrays;
}
