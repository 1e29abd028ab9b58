import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from 'pg';
import { quoteIdentifier, quoteLiteral } from '../../src/postgres/identifier.ts';
import type { PostgresServer } from '../postgres-server.ts';
import { loadSample } from '../siirays/sample.ts';
import { ROOT } from '../tools.ts';
import { inDatabase, makeDatabases } from './databases.ts';
import type { Secrets } from './secrets.ts';

export const SIIRAYS_DATABASE = 'siirays2019';
export const SIIRAYS_OWNER = 'siirays';
/** The role with which the producer reads: replication and SELECT, nothing else. */
export const SYNC_ROLE = 'siirays_sync';
const PUBLICATION = 'siirays_sync';

const SETUP = join(ROOT, 'sql', 'siirays-setup.sql');
const SCHEMA = join(import.meta.dirname, '..', 'siirays', 'schema.sql');

/** How a new SIIRAyS is filled. */
export interface SiiraysContent {
  epsas: number;
  seed?: number;
  /** The database's encoding, as PostgreSQL names it; by default that of its cluster, UTF8. */
  encoding?: string;
  /** At most so many rows of sections an EPSA; all by default. */
  sectionRows?: number;
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
  const { encoding } = content;
  await makeDatabases(url, [{ name: SIIRAYS_DATABASE, owner: SIIRAYS_OWNER, password: secrets.siirays, encoding }]);
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
  const { rows } = await (content.load ?? loadSample)(client, content);
  await client.query('COMMIT'); // where the load has not done it
  await client.query('ANALYZE');
  return rows;
}

/** What SIIRAyS's owner is asked to do. The publication is given to the database's owner, a person to play with it. */
async function grantReading(client: Client, password: string): Promise<void> {
  await client.query(readFileSync(SETUP, 'utf8'));
  await client.query(`ALTER ROLE ${quoteIdentifier(SYNC_ROLE)} PASSWORD ${quoteLiteral(password)}`);
  await client.query(`ALTER PUBLICATION ${quoteIdentifier(PUBLICATION)} OWNER TO ${quoteIdentifier(SIIRAYS_OWNER)}`);
}
