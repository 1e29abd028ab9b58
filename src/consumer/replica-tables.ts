import type pg from 'pg';
import type { CompiledConnector, PlacedTable, Placement, TableRef } from '../connector/compiled.ts';
import type { TableShape } from '../kafka/change-event.ts';
import { quoteIdentifier } from '../postgres/identifier.ts';
import { isLooselyEqual } from '../postgres/loose-equality.ts';
import { replicaTypes } from './column-types.ts';
import { type ConnectorSchemas, collectionName, fittingName, replicaRelation } from './replica-names.ts';
import { ShapeChanged } from './shape-difference.ts';

/** A table of the replica or of the staging copy, as it stands in the sync database. */
export interface ReplicaTable {
  readonly shape: TableShape;
  /** Quoted name. */
  readonly relation: string;
  /** Type of each column here. */
  readonly types: readonly string[];
  /** Names of the two columns that a table without a key has in addition; null where there is a key. */
  readonly counted: { readonly hash: string; readonly count: string } | null;
  /** Whether two keys of other texts may be one key here, such as the numerics 1 and 1.0. */
  readonly looseKey: boolean;
}

/** The tables of one side (live or staging): what exists, and how to make what does not. */
export class ReplicaTables {
  readonly staging: boolean;
  readonly schema: string;
  readonly #sync: string;
  #tables = new Map<string, ReplicaTable>();

  constructor(schemas: ConnectorSchemas, staging: boolean) {
    this.staging = staging;
    this.schema = staging ? schemas.staging : schemas.live;
    this.#sync = quoteIdentifier(schemas.sync);
  }

  /** Reads which tables there are. */
  async load(client: pg.ClientBase): Promise<void> {
    const { rows } = await client.query<{
      table_schema: string;
      table_name: string;
      shape: ShapeJson;
      fingerprint: string;
    }>(`SELECT table_schema, table_name, shape, fingerprint FROM ${this.#sync}.replica_table WHERE staging = $1`, [
      this.staging,
    ]);
    const types = await replicaTypes(
      client,
      rows.flatMap((row) => row.shape.columns.map((column) => column.type)),
    );
    this.#tables = new Map();
    for (const row of rows) {
      const shape = { schema: row.table_schema, table: row.table_name, ...row.shape, fingerprint: row.fingerprint };
      this.#tables.set(collectionName(shape), this.#describe(shape, types));
    }
  }

  get(table: TableRef): ReplicaTable | undefined {
    return this.#tables.get(collectionName(table));
  }

  all(): ReplicaTable[] {
    return [...this.#tables.values()];
  }

  /**
   * The table for a shape; made where there is none. In a transaction that is rolled back call `load` afterwards.
   * @throws where the table exists with another shape
   */
  async ensure(client: pg.ClientBase, shape: TableShape): Promise<ReplicaTable> {
    const known = this.get(shape);
    if (known?.shape.fingerprint === shape.fingerprint) return known;
    if (known) throw new ShapeChanged(known.shape, shape);
    const types = await replicaTypes(
      client,
      shape.columns.map((column) => column.type),
    );
    const table = this.#describe(shape, types);
    await client.query(createTable(table));
    await client.query(
      `INSERT INTO ${this.#sync}.replica_table (staging, table_schema, table_name, shape, fingerprint)
       VALUES ($1, $2, $3, $4, $5)`,
      [
        this.staging,
        shape.schema,
        shape.table,
        JSON.stringify({ columns: shape.columns, key: shape.key }),
        shape.fingerprint,
      ],
    );
    this.#tables.set(collectionName(shape), table);
    return table;
  }

  #describe(shape: TableShape, known: ReadonlyMap<string, string>): ReplicaTable {
    const types = shape.columns.map((column) => known.get(column.type)!);
    return {
      shape,
      relation: replicaRelation(this.schema, shape),
      types,
      looseKey: shape.key.some((place) => isLooselyEqual(types[place]!)),
      counted: shape.key.length > 0 ? null : { hash: freeName(shape, '_hash'), count: freeName(shape, '_count') },
    };
  }

  /** Where the connector's compiled SQL finds its tables on this side. */
  get placement(): Placement {
    return (ref) => {
      const table = this.get(ref);
      if (!table) throw new Error(`the replica has no table ${collectionName(ref)}`);
      return placed(table);
    };
  }

  /** Statements for the connector's indexes on this side, without those that exist already. */
  indexes(connector: CompiledConnector): string[] {
    return connector.indexes(this.placement).map((index) => {
      const name = fittingName(`${index.table}_${index.columns.join('_')}_sync`);
      const columns = index.columns.map(quoteIdentifier).join(', ');
      return `CREATE INDEX IF NOT EXISTS ${quoteIdentifier(name)} ON ${replicaRelation(this.schema, index)} (${columns})`;
    });
  }
}

interface ShapeJson {
  columns: TableShape['columns'];
  key: number[];
}

function placed({ shape, relation, types, counted }: ReplicaTable): PlacedTable {
  return {
    relation: counted
      ? `(SELECT t.* FROM ${relation} t, generate_series(1, t.${quoteIdentifier(counted.count)}))`
      : relation,
    types: Object.fromEntries(shape.columns.map((column, place) => [column.name, types[place]!])),
    key: shape.key.map((place) => shape.columns[place]!.name),
  };
}

function createTable({ shape, relation, types, counted }: ReplicaTable): string {
  const columns = shape.columns.map((column, place) => `${quoteIdentifier(column.name)} ${types[place]}`);
  if (counted) {
    columns.unshift(
      `${quoteIdentifier(counted.hash)} bytea PRIMARY KEY`,
      `${quoteIdentifier(counted.count)} bigint NOT NULL`,
    );
  } else {
    columns.push(`PRIMARY KEY (${shape.key.map((place) => quoteIdentifier(shape.columns[place]!.name)).join(', ')})`);
  }
  const unmeasured = shape.columns.flatMap(({ name }, place) =>
    WITHOUT_STATISTICS.has(types[place]!) ? [`ALTER COLUMN ${quoteIdentifier(name)} SET STATISTICS 0`] : [],
  );
  const create = `CREATE TABLE ${relation} (${columns.join(', ')})`;
  return unmeasured.length === 0 ? create : `${create}; ALTER TABLE ${relation} ${unmeasured.join(', ')}`;
}

/** ANALYZE measures these ranges in floating point, and fails where one is too long for it. */
const WITHOUT_STATISTICS = new Set(['numrange', 'nummultirange']);

/** A name that no column of SIIRAyS's table has. */
function freeName(shape: TableShape, wanted: string): string {
  return shape.columns.some((column) => column.name === wanted) ? freeName(shape, `_${wanted}`) : wanted;
}
