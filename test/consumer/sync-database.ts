/** A migrated sync database with a replica, for tests of what happens inside it. */
import { join } from 'node:path';
import type pg from 'pg';
import type { CompiledConnector } from '../../src/connector/compiled.ts';
import { loadReplica, type Replica } from '../../src/consumer/replica.ts';
import { type ConnectorSchemas, connectorSchemas } from '../../src/consumer/replica-names.ts';
import type { ReplicaTable } from '../../src/consumer/replica-tables.ts';
import { connectSession } from '../../src/consumer/sessions.ts';
import { quoteIdentifier } from '../../src/postgres/identifier.ts';
import { migrate } from '../../src/postgres/migrate.ts';
import { TEXT_VALUES } from '../../src/postgres/session.ts';
import type { Cells } from './table-model.ts';

export interface SyncDatabase {
  client: pg.Client;
  schemas: ConnectorSchemas;
  replica: Replica;
}

/** A connector that reads tables and shows nothing of them. */
export function blindConnector(name: string): CompiledConnector {
  return {
    name,
    tables: [],
    affectedRoots: () => null,
    indexes: () => [],
    allRoots: () => `SELECT NULL::text AS id WHERE false`,
    projection: () => `SELECT NULL::text AS id, NULL::text AS body, NULL::text[] AS problems WHERE false`,
  } as unknown as CompiledConnector;
}

export async function createSync(url: string, connector: CompiledConnector): Promise<SyncDatabase> {
  const client = await connectSession({
    syncUrl: url,
    connector: connector.name,
    token: '1',
    idleInTransactionMs: 60_000,
  });
  const schemas = connectorSchemas(connector.name);
  await migrate(client, join(import.meta.dirname, '../../src/consumer/migrations'), schemas.sync);
  for (const schema of [schemas.live, schemas.staging]) {
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(schema)}`);
  }
  return { client, schemas, replica: await loadReplica(client, connector, schemas) };
}

/** Sorted texts of a replica table's rows, each as often as it counts. */
export async function readTable(client: pg.ClientBase, table: ReplicaTable): Promise<string[]> {
  const columns = table.shape.columns.map(({ name }) => quoteIdentifier(name)).join(', ');
  const many = table.counted ? `, generate_series(1, ${quoteIdentifier(table.counted.count)})` : '';
  const { rows } = await client.query<Cells>({
    text: `SELECT ${columns} FROM ${table.relation}${many}`,
    rowMode: 'array',
    types: TEXT_VALUES,
  });
  return rows.map((row) => JSON.stringify(row)).sort();
}
