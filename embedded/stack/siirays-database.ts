import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { quoteIdentifier, quoteRelation } from '../../src/postgres/identifier.ts';
import type { PostgresServer } from '../postgres-server.ts';
import { inDatabase, makeDatabases, makeRole } from './databases.ts';
import type { Secrets } from './secrets.ts';

export const SIIRAYS_DATABASE = 'siirays2019';
export const SIIRAYS_OWNER = 'siirays';
/** The role with which the producer reads: replication and SELECT, nothing else. */
export const SYNC_ROLE = 'siirays_sync';
const PUBLICATION = 'siirays_sync';

const SCHEMA = join(import.meta.dirname, '..', 'siirays', 'schema.sql');

/** How a new SIIRAyS is filled. */
export interface SiiraysContent {
  epsas: number;
  seed?: number;
  /** Fills the tables in place of the sample, within the transaction that makes them. */
  load?: (client: Client, content: { epsas: number; seed?: number }) => Promise<{ rows: number }>;
}

/**
 * Makes the SIIRAyS database with its tables, the sample rows, the role that may read them and the publication. Tables
 * and rows come in one transaction: a killed start leaves none of them, and later starts find the rows as people left them.
 * @returns how many rows the sample had, or undefined where the database was there
 */
export async function makeSiirays(
  url: PostgresServer['url'],
  secrets: Secrets,
  content: SiiraysContent,
): Promise<number | undefined> {
  await makeDatabases(url, [{ name: SIIRAYS_DATABASE, owner: SIIRAYS_OWNER, password: secrets.siirays }]);
  const asOwner = url(SIIRAYS_DATABASE, SIIRAYS_OWNER, secrets.siirays);
  const rows = await inDatabase(asOwner, (client) => makeTables(client, content));
  await inDatabase(url(SIIRAYS_DATABASE), (client) => grantReading(client, secrets.siirays_sync));
  return rows;
}

async function makeTables(client: Client, content: SiiraysContent): Promise<number | undefined> {
  const found = await client.query("SELECT to_regclass('public.epsa') AS epsa");
  if (found.rows[0].epsa !== null) return undefined;
  await client.query('BEGIN');
  await client.query(readFileSync(SCHEMA, 'utf8'));
  const load = content.load ?? (await import('../siirays/sample.ts')).loadSample;
  const { rows } = await load(client, content);
  await client.query('COMMIT');
  await client.query('ANALYZE');
  return rows;
}

async function grantReading(client: Client, password: string): Promise<void> {
  await makeRole(client, SYNC_ROLE, password, 'REPLICATION');
  await client.query(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${quoteIdentifier(SYNC_ROLE)}`);
  const found = await client.query('SELECT FROM pg_publication WHERE pubname = $1', [PUBLICATION]);
  if (found.rowCount) return;
  const tables = await client.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1");
  const relations = tables.rows.map((row) => quoteRelation('public', row.tablename));
  await client.query('BEGIN');
  await client.query(`SET LOCAL ROLE ${quoteIdentifier(SIIRAYS_OWNER)}`);
  await client.query(`CREATE PUBLICATION ${quoteIdentifier(PUBLICATION)} FOR TABLE ${relations.join(', ')}`);
  await client.query('COMMIT');
}
