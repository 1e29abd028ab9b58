import type { CompiledConnector, Touched } from '../connector/compiled.ts';
import { quoteIdentifier } from '../postgres/identifier.ts';
import type { ReplicaTable, ReplicaTables } from './replica-tables.ts';

/** How to mark the roots that show touched rows of a table. */
export interface MarkSql {
  /** INSERT INTO mark …, with parameters from $1 on. */
  readonly sql: string;
  /** The columns whose values go into $1…, one text[] each. */
  readonly columns: readonly string[];
  /** Those columns' places in the table's shape. */
  readonly places: readonly number[];
}

/** Marks for the tables of the live replica. The staging copy needs none: at the swap every root is marked. */
export class Marking {
  readonly #connector: CompiledConnector;
  readonly #tables: ReplicaTables;
  readonly #mark: string;
  readonly #known = new WeakMap<ReplicaTable, Partial<Record<Touched, MarkSql>>>();

  constructor(connector: CompiledConnector, tables: ReplicaTables, syncSchema: string) {
    this.#connector = connector;
    this.#tables = tables;
    this.#mark = `${quoteIdentifier(syncSchema)}.mark`;
  }

  /** Null where the connector does not read the table. */
  of(table: ReplicaTable, touched: Touched): MarkSql | null {
    const known = this.#known.get(table) ?? {};
    const found = known[touched];
    if (found) return found;
    const affected = this.#connector.affectedRoots(table.shape, this.#tables.placement, touched);
    if (affected === null) return null;
    const made: MarkSql = {
      sql: `INSERT INTO ${this.#mark} (id) SELECT id FROM (${affected.sql}) AS affected ON CONFLICT (id) DO NOTHING`,
      columns: affected.parameters,
      places: affected.parameters.map((name) => table.shape.columns.findIndex((column) => column.name === name)),
    };
    known[touched] = made;
    this.#known.set(table, known);
    return made;
  }
}
