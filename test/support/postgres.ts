import { randomBytes } from 'node:crypto';
import { after } from 'node:test';
import { Client } from 'pg';
import { freePort } from '../../embedded/free-port.ts';
import { type PostgresServer, startPostgres } from '../../embedded/postgres-server.ts';
import { tempDir } from './temp-dir.ts';

/** Where the test runner tells its tests of the PostgreSQL server that they share: a superuser's postgres:// URL. */
export const SHARED_POSTGRES = 'TEST_POSTGRES_URL';

export interface TestDatabaseOptions {
  /** Every server here has it; naming it tells the reader that the test needs it. */
  wal_level?: 'logical';
  /** Settings of postgresql.conf. They ask for a server of the test's own. */
  settings?: Record<string, string>;
  /** A server of the test's own, which it may kill and stop. */
  own?: boolean;
  /** The programs of another PostgreSQL version, for a server of the test's own. */
  binaries?: string;
}

export interface TestDatabase {
  /** A postgres:// URL of the new, empty database, for the superuser. */
  url: string;
  name: string;
  server: {
    host: string;
    port: number;
    /** A URL of any database of this server; for the superuser unless a role is named. */
    url(database?: string, role?: string, password?: string): string;
  };
  /** The server, where it is the test's own. */
  postgres?: PostgresServer;
  /** Drops the database with its slots (and ends the test's own server); runs by itself after the test or suite. */
  close(): Promise<void>;
}

interface Server {
  url: TestDatabase['server']['url'];
  host: string;
  port: number;
  postgres?: PostgresServer;
  release(): Promise<void>;
}

/**
 * A fresh database on a real PostgreSQL server (wal_level=logical): the runner's shared one where there is one, else one
 * that is started for this process and ends with the last database. Call it in a test file, a suite or a test.
 */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const own = options.own === true || options.settings !== undefined || options.binaries !== undefined;
  const server = own ? await startServer(options) : await sharedServer();
  const name = `test_${randomBytes(6).toString('hex')}`;
  await query(server.url(), `CREATE DATABASE ${name}`);
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= (async () => {
      if (!own) await dropDatabase(server.url(), name);
      await server.release();
    })();
    return closed;
  };
  after(close);
  const { host, port, url, postgres } = server;
  return { url: url(name), name, server: { host, port, url }, postgres, close };
}

let processServer: Promise<Server> | undefined;
let users = 0;

async function sharedServer(): Promise<Server> {
  const given = process.env[SHARED_POSTGRES];
  if (given) return serverAt(given);
  users++;
  processServer ??= startServer({});
  const server = await processServer;
  const release = async (): Promise<void> => {
    if (--users > 0) return;
    processServer = undefined;
    await server.release();
  };
  return { ...server, release };
}

function serverAt(given: string): Server {
  const { hostname, port, password } = new URL(given);
  const url: Server['url'] = (database = 'postgres', role = 'postgres', secret = decodeURIComponent(password)) =>
    `postgres://${encodeURIComponent(role)}:${encodeURIComponent(secret)}@${hostname}:${port}/${database}`;
  return { url, host: hostname, port: Number(port), release: async () => undefined };
}

async function startServer({ settings, binaries }: TestDatabaseOptions): Promise<Server> {
  const dir = tempDir('postgres');
  const postgres = await startTestPostgres(dir.path, settings, binaries);
  const release = async (): Promise<void> => {
    await postgres.stop('immediate');
    dir.remove();
  };
  const { url, host, port } = postgres;
  return { url, host, port, postgres, release };
}

/** A server as tests want it: throw-away, with room for the slots and connections of several test files. */
export async function startTestPostgres(
  dir: string,
  settings: Record<string, string> = {},
  binaries?: string,
): Promise<PostgresServer> {
  const room = { max_connections: '300', max_replication_slots: '50', max_wal_senders: '50' };
  const password = randomBytes(12).toString('base64url');
  const all = { wal_level: 'logical', fsync: 'off', ...room, ...settings };
  return startPostgres({ name: 'postgres', dir, port: await freePort(), password, settings: all, binaries });
}

async function dropDatabase(serverUrl: string, name: string): Promise<void> {
  // A slot keeps its database from being dropped, and a walsender keeps its slot.
  await query(serverUrl, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`);
  const drop = `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = '${name}'`;
  const deadline = Date.now() + 5000;
  for (let dropped = false; !dropped; ) {
    try {
      await query(serverUrl, drop);
      dropped = true;
    } catch (error) {
      const inUse = (error as { code?: string }).code === '55006';
      if (!inUse || Date.now() > deadline) throw error;
    }
  }
  await query(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
}

async function query(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
