import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ApiOptions, createApp } from './app.ts';
import type { ApiServices } from './services.ts';

export interface ApiServer {
  /** The port that it listens on, also where the configuration left the choice to the system. */
  port: number;
  /** Ends event streams and waits, lets answers under way finish for `graceMs`, then ends every connection. */
  close(graceMs?: number): Promise<void>;
}

export interface ApiServerOptions extends Omit<ApiOptions, 'signal'> {
  host: string;
  port: number;
}

/** Serves the API. Rejects where the address cannot be taken (EADDRINUSE, EACCES). */
export async function startApiServer(services: ApiServices, options: ApiServerOptions): Promise<ApiServer> {
  const ending = new AbortController();
  const app = createApp(services, { ...options, signal: ending.signal });
  const server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000, maxHeaderSize: 16_384 }, app);
  server.maxConnections = 1_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: (graceMs = 5_000) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => server.closeAllConnections(), graceMs);
        server.close((error) => {
          clearTimeout(timer);
          if (error) reject(error);
          else resolve();
        });
        ending.abort();
      }),
  };
}
