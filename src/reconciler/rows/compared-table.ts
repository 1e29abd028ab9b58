import type { TableRef } from '../../connector/compiled.ts';
import { collectionName } from '../../consumer/replica-names.ts';
import type { ReplicaTable } from '../../consumer/replica-tables.ts';
import { quoteIdentifier, quoteRelation } from '../../postgres/identifier.ts';
import { type KeyColumn, keyColumn } from './key-order.ts';
import type { SourceTable } from './source-catalog.ts';

/** One of the two places where the rows of a table stand. */
export interface Side {
  /** What stands in FROM before the alias t. */
  readonly relation: string;
  /** Types of the key's columns here, to look rows up by. */
  readonly keyTypes: readonly string[];
  /** SQL for how often a row of `t` counts. */
  readonly count: string;
  /** SQL for the version of the row `t` (text): any write gives another. */
  readonly version: string;
}

/** A table of the connector as it is compared: the columns and the key that the replica has. */
export interface ComparedTable {
  readonly ref: TableRef;
  /** `schema.table` */
  readonly name: string;
  readonly columns: readonly string[];
  /** In the order of the table's identity, which is that of all keys here; empty where it has none. */
  readonly key: readonly KeyColumn[];
  /** Places in `key` in the order of SIIRAyS's index: rows are gone through in this order. */
  readonly scan: readonly number[];
  readonly source: Side;
  readonly replica: Side;
  readonly fingerprint: string;
}

export function comparedTable(replica: ReplicaTable, source: SourceTable): ComparedTable {
  const { shape, types, relation, counted } = replica;
  const key = shape.key.map((place) => keyColumn(shape.columns[place]!.name, types[place]!));
  return {
    ref: { schema: shape.schema, table: shape.table },
    name: collectionName(shape),
    columns: shape.columns.map(({ name }) => name),
    key,
    scan: scanOrder(key, source.indexes),
    source: {
      // A partitioned table's rows lie in its partitions; a table that others inherit from has rows of its own only.
      relation: `${source.partitioned ? '' : 'ONLY '}${quoteRelation(shape.schema, shape.table)}`,
      keyTypes: shape.key.map((place) => shape.columns[place]!.type),
      count: '1',
      version: `concat(t.xmin, ' ', t.ctid)`,
    },
    replica: {
      relation,
      keyTypes: shape.key.map((place) => types[place]!),
      count: counted ? `t.${quoteIdentifier(counted.count)}` : '1',
      version: `concat(t.xmin)`,
    },
    fingerprint: shape.fingerprint,
  };
}

/** The order of the unique index over just the key's columns: else each range would sort the whole rest of the table. */
function scanOrder(key: readonly KeyColumn[], indexes: readonly (readonly string[])[]): number[] {
  const fits = (index: readonly string[]): boolean =>
    index.length === key.length && key.every(({ name }) => index.includes(name));
  const index = indexes.find(fits) ?? key.map(({ name }) => name);
  return index.map((name) => key.findIndex((column) => column.name === name));
}
