import { Client } from 'pg';
import { quoteIdentifier, quoteLiteral } from '../../src/postgres/identifier.ts';
import type { PostgresServer } from '../postgres-server.ts';

/** Does work in one session on a database. */
export async function inDatabase<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Makes databases, each owned by a role with the given password; those that are there stay as they are. */
export async function makeDatabases(
  url: PostgresServer['url'],
  databases: { name: string; owner: string; password: string; encoding?: string }[],
): Promise<void> {
  await inDatabase(url(), async (client) => {
    for (const { name, owner, password, encoding } of databases) {
      await makeRole(client, owner, password);
      const found = await client.query('SELECT FROM pg_database WHERE datname = $1', [name]);
      if (found.rowCount) continue;
      // Another encoding asks for a locale that goes with it, and for the template without contents.
      const encoded = encoding ? ` ENCODING ${quoteLiteral(encoding)} LOCALE 'C' TEMPLATE template0` : '';
      await client.query(`CREATE DATABASE ${quoteIdentifier(name)} OWNER ${quoteIdentifier(owner)}${encoded}`);
    }
  });
}

async function makeRole(client: Client, name: string, password: string): Promise<void> {
  const found = await client.query('SELECT FROM pg_roles WHERE rolname = $1', [name]);
  if (found.rowCount) return;
  await client.query(`CREATE ROLE ${quoteIdentifier(name)} LOGIN PASSWORD ${quoteLiteral(password)}`);
}
