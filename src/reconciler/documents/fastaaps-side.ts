import type pg from 'pg';
import type { Placement } from '../../connector/compiled.ts';
import type { DocumentState } from './document-state.ts';
import type { IdRange } from './id-source.ts';
import type { Json } from './json-tree.ts';

/** What FASTAAPS says of one document: the columns of `FastaapsSide`, in their order. */
export type Theirs = readonly (string | null)[];

/** How a comparison gets at what FASTAAPS holds, and compares it: by versions, or by whole documents. */
export interface FastaapsSide {
  /** SQL for FROM that gives what `load` has read: id, and `columns`. */
  readonly relation: string;
  readonly columns: readonly string[];
  /** Reads FASTAAPS's side as it is now into a temporary table of the session. Memory is bounded. */
  load(client: pg.ClientBase, signal: AbortSignal): Promise<void>;
  /** Reads it anew and gives that of some documents. */
  of(ids: ReadonlySet<string>): Promise<Map<string, Theirs>>;
  /** What is not equal in a range, in the open snapshot. */
  compare(client: pg.ClientBase, placement: Placement, range: IdRange): Promise<DocumentState[]>;
  /** A document of either side as it is compared. */
  comparable(document: Json): Json;
}
