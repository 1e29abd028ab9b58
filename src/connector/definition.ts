/** A connector as its YAML says it, with every default filled in and every name resolved. */
import type { TableRef } from './compiled.ts';

/** What kind of value a field holds in the document. */
export type FieldType = 'text' | 'integer' | 'number' | 'boolean' | 'date' | 'timestamp' | 'json';

/** A column of the section's own row (lookup null) or of one of its look-ups. */
export interface ColumnRef {
  readonly lookup: string | null;
  readonly column: string;
}

/** A pair of columns that must be equal: `from` of the outer row, `to` of the joined table. */
export interface JoinColumn {
  readonly from: string;
  readonly to: string;
}

/** A table joined (LEFT JOIN) to the section's row, or to another look-up (`from`). */
export interface Lookup {
  readonly name: string;
  readonly table: TableRef;
  readonly from: string | null;
  readonly by: readonly JoinColumn[];
}

export interface Field extends ColumnRef {
  readonly name: string;
  readonly type: FieldType;
  readonly required: boolean;
  readonly description: string | null;
}

export type Shape = 'object' | 'list' | 'text' | 'list of text';

/** What a row shows: fields by name, and sections of its own. */
export interface RowContent {
  readonly lookups: readonly Lookup[];
  readonly fields: readonly Field[];
  readonly sections: readonly Section[];
}

/** A part of the document made of the rows of one table that belong to the outer row. */
export interface Section extends RowContent {
  readonly name: string;
  readonly shape: Shape;
  readonly rows: TableRef;
  /** Which rows belong: `from` is a column of the outer row, `to` of `rows`. */
  readonly by: readonly JoinColumn[];
  /** Order of a list; of several rows of an object or text the highest counts. */
  readonly key: readonly string[];
  /** The column shown by shapes `text` and `list of text`; null for the others. */
  readonly column: ColumnRef | null;
  readonly required: boolean;
  readonly description: string | null;
}

export interface Definition {
  readonly name: string;
  readonly source: { readonly kind: 'postgres'; readonly schema: string };
  readonly target: { readonly path: string; readonly tag: string; readonly adapter: 'changes' | 'restore' };
  /** The document itself: one row of the root table. */
  readonly root: RowContent & {
    readonly table: TableRef;
    readonly idColumn: string;
    readonly idType: 'integer' | 'text';
  };
  readonly description: string | null;
}
