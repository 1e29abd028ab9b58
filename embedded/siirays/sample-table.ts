import type { Prng } from './sample-prng.ts';
import type { Cell } from './sample-values.ts';

/**
 * How the rows of a table are made, for the sample and for the traffic alike. Columns stand in the order of schema.sql:
 * the table's own id (where it has one), id_epsa (of a section), then those that `values` gives.
 */
export interface TableModel {
  name: string;
  /** Column -> type, all of them. */
  columns: Readonly<Record<string, string>>;
  /** Whether the first column is a primary key of the table's own. */
  ownId: boolean;
  /** The other columns, for the row with this own id (0 where the table has none). */
  values(prng: Prng, world: World, id: number): Cell[];
}

export interface Catalogue extends TableModel {
  /** Number of rows for so many EPSAs; their ids are 1 ... n. */
  size(epsas: number): number;
  /** Documents with this catalogue's row do without it: it may be missing, deleted, NULL. */
  dispensable: boolean;
}

export interface Section extends TableModel {
  /** An EPSA has one of these numbers of rows. */
  counts: readonly number[];
  /** Columns without which the document lacks a required field. `values` never leaves them NULL. */
  required: readonly string[];
}

/** What rows may refer to. */
export interface World {
  /** An id of the catalogue: now and then NULL, or one that is not there. */
  some(prng: Prng, catalogue: string): Cell;
  /** An id of the catalogue, there and with its texts. */
  sure(prng: Prng, catalogue: string): string;
}

/** Every so-many-th locality has no name. */
export const NAMELESS_LOCALITY = 17;

/** A world with catalogues of these sizes. */
export function createWorld(sizes: Readonly<Record<string, number>>): World {
  const size = (catalogue: string): number => {
    const found = sizes[catalogue];
    if (found === undefined) throw new Error(`there is no catalogue ${catalogue}`);
    return found;
  };
  return {
    some(prng, catalogue) {
      const draw = prng.next();
      if (draw < 0.05) return null;
      if (draw < 0.06) return '0';
      if (draw < 0.09) return String(size(catalogue) + prng.between(1, 20));
      return String(prng.between(1, size(catalogue)));
    },
    sure(prng, catalogue) {
      const id = prng.between(1, size(catalogue));
      const nameless = catalogue === 'localidad' && id % NAMELESS_LOCALITY === 0;
      return String(nameless ? id - 1 : id);
    },
  };
}
