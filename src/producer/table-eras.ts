import { createHash } from 'node:crypto';
import type { CatalogTable } from './table-catalog.ts';

/**
 * Knows which tables' rows may have changed without events: a column that was added with a default, retyped with USING or
 * taken away and added again; a table that was dropped and created again, that was out of the publication for a while, to
 * which a partition was attached. From then on the table is in another **era**, which is part of its shape's fingerprint:
 * who follows the stream sees at the first event that what it holds must be read again.
 */
export class TableEras {
  /** By `schema.table`; `era state`. Never changed, but replaced. */
  #eras: Readonly<Record<string, string>> = {};

  /** Takes what an earlier run has noted, when that has been read. */
  restore(noted: Readonly<Record<string, string>>): void {
    this.#eras = noted;
  }

  get noted(): Readonly<Record<string, string>> {
    return this.#eras;
  }

  /** The table's era; 0 where it has never changed. */
  of(name: string): number {
    return Number.parseInt(this.#eras[name] ?? '0', 10);
  }

  /** Whether the table is as it was when it was last noted. One that was never noted is. */
  isSame(table: CatalogTable): boolean {
    const known = this.#eras[nameOf(table)];
    return known === undefined || continues(stateIn(known), stateOf(table));
  }

  /** Notes the table as it is now: in a new era, where it is not as it was. */
  note(table: CatalogTable): void {
    const name = nameOf(table);
    const era = this.isSame(table) ? this.of(name) : this.of(name) + 1;
    const noted = `${era} ${stateOf(table).join(' ')}`;
    if (this.#eras[name] !== noted) this.#eras = { ...this.#eras, [name]: noted };
  }

  /** Noted tables that are not among the published ones any more, and were when they were noted. */
  gone(published: readonly CatalogTable[]): string[] {
    const names = new Set(published.map(nameOf));
    return Object.keys(this.#eras).filter((name) => !names.has(name) && stateIn(this.#eras[name]!).length > 0);
  }

  /** The table is published no more. However it comes back, that is another era. */
  noteGone(name: string): void {
    this.#eras = { ...this.#eras, [name]: String(this.of(name)) };
  }
}

export function nameOf({ schema, table }: { schema: string; table: string }): string {
  return `${schema}.${table}`;
}

/** Columns, how it is published with its partitions, storage, versions of its columns' catalogue rows. */
type State = readonly string[];

function stateOf({ continuity }: CatalogTable): State {
  const { columns, published, storage, versions } = continuity;
  return [short(columns), short(published), storage, short(versions)];
}

function stateIn(noted: string): State {
  return noted.split(' ').slice(1);
}

/**
 * Rows are rewritten by TRUNCATE, VACUUM FULL and CLUSTER, too, without a change of the columns' catalogue rows; and those
 * change with a new default or a NOT NULL, too, without the rows being rewritten.
 */
function continues(was: State, is: State): boolean {
  if (was[0] !== is[0] || was[1] !== is[1]) return false;
  return was[2] === is[2] || was[3] === is[3];
}

function short(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}
