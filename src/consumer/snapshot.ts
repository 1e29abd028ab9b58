import type pg from 'pg';
import type { CompiledConnector } from '../connector/compiled.ts';
import { quoteIdentifier } from '../postgres/identifier.ts';
import { BrokenHistory } from './broken-history.ts';
import { type CheckpointStore, writeOffsets } from './checkpoint.ts';
import { type ConnectorSchemas, collectionName } from './replica-names.ts';
import type { ReplicaTable, ReplicaTables } from './replica-tables.ts';

/** While a staging copy is filled the position is the copy's; the live replica stands at the last projected commit. */
const BACK_TO_LIVE = `, history = projected_history, seq = projected_seq, lsn = projected_lsn,
     committed_at = projected_committed_at`;

/**
 * Freezes the live replica and notes that a full snapshot is wanted: what comes before its BEGIN is dropped. Offsets are
 * read before, the request is signalled after, so that its BEGIN lies behind them.
 * @param staging whether a staging copy was being filled, which is given up
 */
export async function requestSnapshot(
  client: pg.ClientBase,
  checkpoint: CheckpointStore,
  request: { id: string; offsets: ReadonlyMap<string, bigint>; reason: string; tables: readonly string[] },
  staging: boolean,
): Promise<void> {
  await checkpoint.update(
    client,
    `request_id = $2, request_offsets = $3, request_reason = $4, request_tables = $5, requested_at = now(),
     staging_id = NULL, staging_begun_at = NULL, staging_ended = false${staging ? BACK_TO_LIVE : ''}`,
    [request.id, writeOffsets(request.offsets), request.reason, request.tables],
  );
}

/** Makes an empty staging copy, in the open transaction; a snapshot under way is discarded. */
export async function beginStaging(
  client: pg.ClientBase,
  schemas: ConnectorSchemas,
  staging: ReplicaTables,
): Promise<void> {
  const sync = quoteIdentifier(schemas.sync);
  await client.query(`SET LOCAL client_min_messages = warning`);
  await client.query(`DROP SCHEMA IF EXISTS ${quoteIdentifier(schemas.staging)} CASCADE`);
  await client.query(`CREATE SCHEMA ${quoteIdentifier(schemas.staging)}`);
  await client.query(`DELETE FROM ${sync}.replica_table WHERE staging`);
  await client.query(`DELETE FROM ${sync}.incomplete WHERE staging`);
  await staging.load(client);
}

export interface SwapOptions {
  connector: CompiledConnector;
  schemas: ConnectorSchemas;
  live: ReplicaTables;
  staging: ReplicaTables;
}

/**
 * Puts the staging copy in the live replica's place, in the open transaction: readers wait for the locks, and see either
 * all old tables or all new ones. Indexes and statistics are made before the locks are taken.
 * @throws BrokenHistory where the copy cannot be what SIIRAyS held
 */
export async function swapIn(client: pg.ClientBase, options: SwapOptions): Promise<void> {
  const { connector, schemas, live, staging } = options;
  const sync = quoteIdentifier(schemas.sync);
  for (const table of staging.all()) await assertCounts(client, table);
  for (const sql of staging.indexes(connector)) await client.query(sql);
  for (const table of staging.all()) await client.query(`ANALYZE ${table.relation}`);
  for (const table of live.all()) await client.query(`DROP TABLE IF EXISTS ${table.relation}`);
  for (const { relation } of staging.all()) {
    await client.query(`ALTER TABLE ${relation} SET SCHEMA ${quoteIdentifier(schemas.live)}`);
  }
  await client.query(`DELETE FROM ${sync}.replica_table WHERE NOT staging`);
  await client.query(`UPDATE ${sync}.replica_table SET staging = false`);
  await client.query(`DELETE FROM ${sync}.incomplete WHERE NOT staging`);
  await live.load(client);
  await staging.load(client);
}

/** @throws BrokenHistory where the stream took rows away that the snapshot should have brought */
async function assertCounts(client: pg.ClientBase, { relation, shape, counted }: ReplicaTable): Promise<void> {
  if (!counted) return;
  const { rows } = await client.query<{ n: number }>(
    `SELECT count(*)::int AS n FROM ${relation} WHERE ${quoteIdentifier(counted.count)} < 0`,
  );
  if (rows[0]!.n > 0) {
    throw new BrokenHistory(`${collectionName(shape)}: ${rows[0]!.n} rows are deleted that the snapshot does not hold`);
  }
}

/** The connector's tables that the replica lacks: the connector reads more than when the replica was made. */
export function missingTables(connector: CompiledConnector, live: ReplicaTables): string[] {
  return connector.tables.filter((table) => !live.get(table)).map(collectionName);
}
