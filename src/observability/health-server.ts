/**
 * The HTTP server of a process: /healthz and /readyz for a supervisor, open and telling no more than yes or no;
 * /metrics for Prometheus, behind HTTP Basic. Errors are problem+json (RFC 9457).
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import type { HttpConfig } from '../config/types.ts';
import { isAuthorized } from './basic-auth.ts';
import type { HealthState } from './health.ts';

export interface HealthServer {
  /** The port that it listens on, also where the configuration left the choice to the system. */
  port: number;
  /** Stops listening and ends open connections. */
  close(): Promise<void>;
}

export interface HealthServerOptions {
  http: HttpConfig;
  health: HealthState;
  metrics: Registry;
}

/** An answer: status, headers and a body. */
interface Answer {
  status: number;
  headers?: Record<string, string>;
  body: string;
  type: string;
}

/** Starts the server. Rejects where the address cannot be taken (EADDRINUSE, EACCES). */
export async function startHealthServer(options: HealthServerOptions): Promise<HealthServer> {
  const server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000, maxHeaderSize: 8_192 });
  server.maxConnections = 64;
  server.on('request', (request, response) => {
    answer(request, options).then(
      (made) => send(request, response, made),
      // A metric's collect function failed: the scrape says so, and the process goes on.
      () => send(request, response, problem(500, 'Internal Server Error', 'the metrics could not be collected')),
    );
  });
  await listen(server, options.http);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, http: HttpConfig): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(http.port, http.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function answer(request: IncomingMessage, options: HealthServerOptions): Promise<Answer> {
  const path = (request.url ?? '/').split('?', 1)[0];
  const known = path === '/healthz' || path === '/readyz' || path === '/metrics';
  if (!known) return problem(404, 'Not Found', 'there are /healthz, /readyz and /metrics');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { ...problem(405, 'Method Not Allowed', 'GET and HEAD are answered'), headers: { Allow: 'GET, HEAD' } };
  }
  if (path === '/healthz') return state(options.health.isLive(), 'ok', 'failing');
  if (path === '/readyz') return state(options.health.isReady(), 'ready', 'not ready');
  return metricsAnswer(request, options);
}

function state(well: boolean, yes: string, no: string): Answer {
  const body = JSON.stringify({ status: well ? yes : no });
  return { status: well ? 200 : 503, body, type: 'application/json' };
}

async function metricsAnswer(request: IncomingMessage, { http, metrics }: HealthServerOptions): Promise<Answer> {
  if (!http.metricsPassword) return problem(403, 'Forbidden', 'no METRICS_PASSWORD is configured');
  if (!isAuthorized(request.headers.authorization, http.metricsUsername ?? 'metrics', http.metricsPassword)) {
    const headers = { 'WWW-Authenticate': 'Basic realm="metrics", charset="UTF-8"' };
    return { ...problem(401, 'Unauthorized', 'user name and password are needed'), headers };
  }
  return { status: 200, body: await metrics.metrics(), type: metrics.contentType };
}

function problem(status: number, title: string, detail: string): Answer {
  return {
    status,
    body: JSON.stringify({ type: 'about:blank', title, status, detail }),
    type: 'application/problem+json',
  };
}

function send(request: IncomingMessage, response: ServerResponse, { status, headers, body, type }: Answer): void {
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}
