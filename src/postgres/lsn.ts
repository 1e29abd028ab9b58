/**
 * A position in PostgreSQL's write-ahead log as an unsigned 64-bit number.
 * PostgreSQL writes it as two hexadecimal halves, `16/B374D848` (manual, 8.20 "pg_lsn Type").
 */
export type Lsn = bigint;

const PATTERN = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/** Reads PostgreSQL's `X/Y` form. Throws a RangeError where the text is none. */
export function parseLsn(text: string): Lsn {
  const match = PATTERN.exec(text);
  if (!match) throw new RangeError(`not an LSN of the form X/Y: ${JSON.stringify(text)}`);
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

/** Writes the `X/Y` form as PostgreSQL itself does: upper case, no leading zeros. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}
