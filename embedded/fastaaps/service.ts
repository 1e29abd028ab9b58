import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { createApp, type Limits } from './app.ts';
import type { Credentials } from './credentials.ts';
import { createTables, openPool } from './database.ts';
import type { CollectionModel } from './model.ts';

export interface ServiceOptions {
  /** postgres:// URL of the service's own database; its tables are made where they are missing. */
  databaseUrl: string;
  host: string;
  /** 0: any free one. */
  port: number;
  credentials: Credentials;
  models: readonly CollectionModel[];
  log: Logger;
  /** Just what exists today, and as it behaves today. */
  likeToday?: boolean;
  limits?: Partial<Limits>;
}

export interface Service {
  /** http://host:port */
  readonly url: string;
  /** Takes no more requests, lets those under way finish for up to `graceMs`, then closes what is left. */
  close(graceMs?: number): Promise<void>;
}

export const DEFAULT_MAX_LINE_BYTES = 64 << 20;
const IDLE_MS = 120_000;
const GRACE_MS = 5_000;

/** Starts the reference service. Resolves when it listens. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { databaseUrl, host, port, credentials, models, log, likeToday = false, limits } = options;
  const pool = openPool(databaseUrl, (error) => log.warn({ event: 'database_connection_lost', err: error }, 'lost'));
  await createTables(pool);
  const app = createApp({
    ...{ pool, log, credentials, models, likeToday },
    limits: { maxLineBytes: DEFAULT_MAX_LINE_BYTES, ...limits },
  });
  // A changeset may take as long as it likes as long as it moves: no limit on the whole, one on standing still.
  const server = createServer({ requestTimeout: 0, keepAliveTimeout: 60_000 }, app);
  server.setTimeout(IDLE_MS);
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`;
  log.info({ event: 'listening', url, likeToday, collections: models.map((model) => model.path) }, 'listening');
  return {
    url,
    async close(graceMs = GRACE_MS) {
      const closed = once(server, 'close');
      server.close();
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), graceMs);
      await closed;
      clearTimeout(timer);
      await pool.end();
      log.info({ event: 'stopped' }, 'stopped');
    },
  };
}
