import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { Part, type PartOptions } from './part.ts';
import { findTools } from './tools.ts';

export interface PgBouncerOptions {
  name: string;
  /** Holds its settings and its users' passwords. */
  dir: string;
  logFile: string;
  port: number;
  /** The PostgreSQL server behind it. */
  server: { host: string; port: number };
  /** A database and a role to ask whether it is ready. */
  database: string;
  /** Roles of the server that may come through it, with their passwords. */
  users: Record<string, string>;
  onChange?: PartOptions['onChange'];
}

export interface PgBouncer {
  readonly name: string;
  readonly port: number;
  readonly part: Part;
  readonly pid: number | undefined;
  /** A postgres:// URL through it. */
  url(role: string): string;
  stop(): Promise<void>;
}

const HOST = '127.0.0.1';

/** Starts PgBouncer with transaction pooling and SCRAM on both sides. */
export async function startPgBouncer(options: PgBouncerOptions): Promise<PgBouncer> {
  const { name, dir, port, users, database } = options;
  const settingsFile = join(dir, 'pgbouncer.ini');
  const usersFile = join(dir, 'users.txt');
  const url = (role: string): string =>
    `postgres://${encodeURIComponent(role)}:${encodeURIComponent(users[role] ?? '')}@${HOST}:${port}/${database}`;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const part = new Part({
    name,
    command: { file: findTools().pgbouncer, args: [settingsFile] },
    deathSignal: 'KILL',
    withoutRoot: [dir],
    logFile: options.logFile,
    ready: () => answers(url(Object.keys(users)[0]!)),
    readyWithinMs: 20_000,
    stopSignal: 'SIGTERM',
    stopWithinMs: 1500,
    prepare: () => {
      writeFileSync(usersFile, usersText(users), { mode: 0o600 });
      writeFileSync(settingsFile, settings(options, usersFile), { mode: 0o600 });
    },
    onChange: options.onChange,
  });
  await part.start();
  return {
    ...{ name, port, part, url },
    get pid() {
      return part.pid;
    },
    stop: () => part.stop(),
  };
}

function settings({ port, server }: PgBouncerOptions, usersFile: string): string {
  return `[databases]
* = host=${server.host} port=${server.port}

[pgbouncer]
listen_addr = ${HOST}
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${usersFile}
pool_mode = transaction
max_client_conn = 500
default_pool_size = 20
log_connections = 0
log_disconnections = 0
`;
}

/** auth_file: one quoted pair a line. The passwords are plain, since PgBouncer itself logs in with them. */
function usersText(users: Record<string, string>): string {
  const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`;
  return Object.entries(users)
    .map(([role, password]) => `${quote(role)} ${quote(password)}\n`)
    .join('');
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000 });
  client.on('error', () => undefined); // a server that goes away while it is asked is not ready: connect() says so
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } finally {
    await client.end();
  }
}
