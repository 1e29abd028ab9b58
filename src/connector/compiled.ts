/**
 * What a connector is once it is compiled: data and SQL texts, no connection, no state.
 * The consumer (replica, staging) and the reconciler (replica, or SIIRAyS itself) run the SQL; FASTAAPS's reference
 * service and the dead letters use the document schema.
 */
import type { Definition } from './definition.ts';

/** A table of SIIRAyS, by its own names (unquoted). */
export interface TableRef {
  readonly schema: string;
  readonly table: string;
}

/** A table that the connector reads, and the columns of it that decide documents. */
export interface ConnectorTable extends TableRef {
  /** Every column that the connector uses: shown, joined by, or ordered by; in the order of first use. */
  readonly columns: readonly string[];
}

/** An index that marking and projecting need: CREATE INDEX ON <where the table stands> (columns). */
export interface TableIndex extends TableRef {
  readonly columns: readonly string[];
}

/** Where the compiled SQL finds a table now, and what it has to know of it there. */
export interface PlacedTable {
  /**
   * SQL that can stand in FROM before an alias: a quoted name ("epsa"."rar"), or a subselect in parentheses, e.g. for a
   * table without a key that is kept with counts: (SELECT t.* FROM "epsa"."x" t, generate_series(1, t.row_count)).
   */
  readonly relation: string;
  /** Type of each column as PostgreSQL's format_type writes it (numeric(12,2), character varying(60), integer). */
  readonly types: Readonly<Record<string, string>>;
  /** Columns of the key; empty where the table has none. A key makes the order of rows unambiguous. */
  readonly key: readonly string[];
}

/** Gives the place of each table in ConnectorTable[]: the replica, staging, or SIIRAyS's own schema. */
export type Placement = (table: TableRef) => PlacedTable;

/**
 * How the touched rows of a table are told:
 * - `keys`: one text[] per column of the key (the rows are looked up in the table as it stands; the ordinary case);
 * - `rows`: one text[] per column that leads from the table to the root (for tables without a key; the rows are not
 *   looked up, so give old rows and new rows);
 * - `all`: every row of the table counts as touched (TRUNCATE, or the op t of a chunk without a key); no parameter.
 */
export type Touched = 'keys' | 'rows' | 'all';

/** A query for the roots that show touched rows. */
export interface AffectedRoots {
  /** SELECT of one column `id` (text, distinct), to be put anywhere a SELECT may stand (INSERT INTO mark … SELECT). */
  readonly sql: string;
  /** $1…$n: the column whose values (PostgreSQL text; all arrays of the same length) go into each text[]. */
  readonly parameters: readonly string[];
}

/** A query for the rows that a document is made of. */
export interface SourceRows {
  /**
   * SELECT of `place` (in `tables`) and `key` (jsonb: key columns with their values as text; of a table without a key the
   * columns that join and order it). $1: the document's id as text; $2: how many rows of each place at most. The same row
   * may come from several places.
   */
  readonly sql: string;
  readonly tables: readonly TableRef[];
}

export interface CompiledConnector {
  readonly name: string;
  readonly target: { readonly path: string; readonly tag: string; readonly adapter: 'changes' | 'restore' };
  /** Every table it reads, the root first. */
  readonly tables: readonly ConnectorTable[];
  /** The table that has one row per document; idType says whether FASTAAPS's ids are JSON numbers or strings. */
  readonly root: TableRef & { readonly idColumn: string; readonly idType: 'integer' | 'text' };
  /** JSON Schema (draft 2020-12) of one document. */
  readonly documentSchema: Record<string, unknown>;
  /** What the YAML says, defaults filled in: types per field for adapters, names for reports. */
  readonly definition: Definition;

  /**
   * The roots whose join tree holds a touched row of `table`; null where the connector does not read the table.
   * Run it before AND after the rows of the table are changed, with old and new keys (or old and new rows), each time
   * in the state the database then has: every document that the step changes is among the ids of one of both runs.
   * A step may be one statement or a whole batch over many tables, if all its tables are asked before and all after.
   */
  affectedRoots(table: TableRef, placement: Placement, touched: Touched): AffectedRoots | null;

  /**
   * The indexes that marking and projecting need beside those of the keys that `placement` tells. Without them
   * everything is right but slow (SIIRAyS has none of them).
   */
  indexes(placement: Placement): TableIndex[];

  /** SELECT of one column `id` (text): every root there is. */
  allRoots(placement: Placement): string;

  /**
   * One SELECT with one row per id of `marks`: id (text, as given), body (text: the document as JSON text; NULL where
   * no root has this id), problems (text[]: paths of required fields that are missing, such as tuberias[2].localidad,
   * counted from 0; NULL where none is missing).
   *
   * `marks` is SQL for FROM giving a text column `id` without duplicates, each a valid text of the root's id: a table,
   * a CTE, a subselect. Best is (SELECT unnest($1::text[]) AS id): the planner then knows how many there are.
   * Up to about 1,000 ids a named prepared statement under plan_cache_mode = force_generic_plan is faster (planning
   * costs more than running), above that an unnamed one, planned for the array at hand. Measured on 3,000 EPSAs, named
   * against unnamed: one id 1.1 and 7.5 ms, 100 ids 18 and 30 ms, all 545 and 485 ms. Both need the indexes and
   * ANALYZE after a load (without statistics one id takes 10 ms), and jit = off where the server has it.
   *
   * The session must have the pinned settings of src/postgres (ISO, UTC, extra_float_digits = 1): texts follow them.
   */
  projection(placement: Placement, marks: string): string;

  /**
   * The rows of SIIRAyS that a document, or the part of it that `path` names (tuberias[2].localidad; null: all of it), is
   * made of.
   */
  sourceRows(path: string | null, placement: Placement): SourceRows;
}
