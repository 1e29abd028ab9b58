import type { Candidate } from '../comparison.ts';
import type { ComparedTable } from './compared-table.ts';
import type { KeyColumn } from './key-order.ts';
import type { Key } from './range-sql.ts';

/**
 * A row that is not the same on both sides.
 *
 * The pair holds the hashes of both rows, and the version of SIIRAyS's row (xmin and ctid), for where the hashes alone
 * would prove nothing: with a value that changes from A to B and back to A, the replica may be just at B at both looks. A
 * row that SIIRAyS has not written between two looks, while the replica has passed the first look's LSN, must be the same
 * there. Where SIIRAyS has no row the version is that of the replica's: one that should be gone, and has not been written
 * since, was not deleted.
 */
export interface RowCandidate extends Candidate {
  /** `schema.table` */
  readonly table: string;
  /** Texts of the key in the order of the table's identity; null where it has none. */
  readonly keys: Key | null;
  /** The columns of that key; empty where the table has none. */
  readonly keyed: readonly KeyColumn[];
  /** Where the table has no key: the hash of the row's text. */
  readonly hash: string | null;
}

/** A row of one side. */
export interface SideRow {
  readonly hash: string;
  readonly version: string;
}

/** Null where both are the same. */
export function keyedCandidate(
  { name, key: keyed }: ComparedTable,
  keys: Key,
  source: SideRow | undefined,
  replica: SideRow | undefined,
): RowCandidate | null {
  if (source?.hash === replica?.hash) return null;
  const pair = [source?.hash ?? null, replica?.hash ?? null, (source ?? replica)!.version];
  const key = JSON.stringify([name, ...keys]);
  return { key, pair: pair.join(' '), pending: false, table: name, keys, keyed, hash: null };
}

/** How often one side holds a row. */
export interface RowCount {
  readonly count: string;
  readonly version: string;
}

/** Null where both hold the row equally often. */
export function countedCandidate(
  { name }: ComparedTable,
  hash: string,
  source: RowCount | undefined,
  replica: RowCount | undefined,
): RowCandidate | null {
  if (source?.count === replica?.count) return null;
  const pair = [source?.count ?? 0, replica?.count ?? 0, (source ?? replica)!.version];
  const key = JSON.stringify([name, { hash }]);
  return { key, pair: pair.join(' '), pending: false, table: name, keys: null, keyed: [], hash };
}
