import type { TableShape } from '../kafka/change-event.ts';
import type { TableFingerprint } from '../kafka/transaction-record.ts';
import { BrokenHistory } from './broken-history.ts';

/**
 * A table is no longer the one that its replica was made for: columns, types or key are others, or its rows may have
 * changed without events. The replica stands still just before that, until everything has been read again.
 */
export class ShapeChanged extends BrokenHistory {
  constructor(was: TableShape, is: TableShape) {
    const [before, now] = [describe(was), describe(is)];
    super(
      before === now
        ? `the rows of ${is.schema}.${is.table} may have changed in SIIRAyS without events (it was created again or was out of the publication)`
        : `${is.schema}.${is.table} has changed its shape in SIIRAyS. It was (${before}), it is (${now})`,
    );
  }
}

function describe({ columns, key }: TableShape): string {
  const keyNames = key.map((place) => columns[place]!.name);
  return `${columns.map(({ name, type }) => `${name} ${type}`).join(', ')}; key ${keyNames.join(', ') || 'none'}`;
}

/** What a record of kind shape tells of one table that is no longer the replica's. */
export function tableTurned({ table, fingerprint }: TableFingerprint): BrokenHistory {
  return new BrokenHistory(
    fingerprint === null
      ? `${table} is no longer published by SIIRAyS: it was dropped, renamed or taken out of the publication. Documents stay as they are until it is back there (ALTER PUBLICATION … ADD TABLE), or until the connector reads it no more`
      : `${table} has changed in SIIRAyS`,
  );
}
