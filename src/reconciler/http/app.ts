import express, { type Express, type Request, type RequestHandler, type Response, type Router } from 'express';
import helmet from 'helmet';
import type { Logger } from '../../logging/logger.ts';
import { answerError } from './answer-error.ts';
import { type ApiUser, callerOf, requireCaller, requireRole } from './authentication.ts';
import { EventStreams } from './event-streams.ts';
import { refuseForeignOrigins } from './foreign-origin.ts';
import { readJsonBody } from './json-body.ts';
import { read } from './mistakes.ts';
import { openapi } from './openapi.ts';
import type { ApiContext, Operation } from './operation.ts';
import { connectors } from './operations/connectors.ts';
import { deadLetters } from './operations/dead-letters.ts';
import { documents } from './operations/documents.ts';
import { overview } from './operations/overview.ts';
import { positions } from './operations/positions.ts';
import { reconciliations } from './operations/reconciliations.ts';
import { Problem } from './problem.ts';
import { requestLog } from './request-log.ts';
import { BASE } from './run-answer.ts';
import type { ApiServices } from './services.ts';

export interface ApiOptions {
  users: readonly ApiUser[];
  log: Logger;
  /** Ends event streams and waits, so that the server can close. */
  signal: AbortSignal;
  /** Origins of our own pages besides the address that is asked, e.g. https://sync.example behind a proxy that rewrites Host. */
  origins?: readonly string[];
  /** Which proxies in front tell the address of who asks: Express's setting `trust proxy`. Default: none. */
  trustProxy?: boolean | number | string;
  /** Event streams open at once. Default 100. */
  mostStreams?: number;
  /** Pages served beside the API, to the same users and with the same headers. */
  pages?: Router;
  /** Milliseconds of a clock that never goes back; for tests. */
  now?: () => number;
}

/** Scripts, styles and connections of our own only; nothing inline, no frames. */
const SECURITY_HEADERS = helmet({
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'"],
      imgSrc: ["'self'", 'data:'],
      fontSrc: ["'self'"],
      connectSrc: ["'self'"],
      formAction: ["'self'"],
      baseUri: ["'none'"],
      frameAncestors: ["'none'"],
    },
  },
  referrerPolicy: { policy: 'no-referrer' },
});

/**
 * The HTTP API (and pages beside it). Every path asks for credentials; health is served elsewhere.
 * @throws where users are configured wrongly
 */
export function createApp(services: ApiServices, options: ApiOptions): Express {
  const { users, log, signal, origins = [], trustProxy = false, mostStreams = 100, pages, now } = options;
  const app = express();
  app.disable('x-powered-by').disable('etag').set('query parser', 'simple').set('trust proxy', trustProxy);
  app.enable('case sensitive routing').enable('strict routing');
  app.use(requestLog(log), SECURITY_HEADERS, noStore);
  app.use(requireCaller({ users, log, now }), refuseForeignOrigins(origins));

  const context: ApiContext = { services, log, signal, streams: new EventStreams(signal, mostStreams) };
  app.use(BASE, apiRouter(operationsOf(context)));
  if (pages) app.use(pages);
  app.use(() => {
    throw new Problem(404, 'there is nothing at this path');
  });
  app.use(answerError(log));
  return app;
}

const noStore: RequestHandler = (_request, response, next) => {
  response.set('Cache-Control', 'no-store');
  next();
};

function operationsOf(context: ApiContext): Operation[] {
  return [
    ...reconciliations(context),
    ...overview(context),
    ...positions(context),
    ...documents(context),
    ...deadLetters(context),
    ...connectors(context),
  ];
}

function apiRouter(operations: readonly Operation[]): Router {
  const router = express.Router({ caseSensitive: true, strict: true });
  const description = openapi(operations);
  router.get('/openapi.json', (_request, response) => void response.json(description));
  for (const one of operations) {
    const handle: RequestHandler = (request, response) => perform(one, request, response);
    for (const path of routesOf(one.path)) router[one.method](path, requireRole, handle);
  }
  router.use(refuseMethod([...operations, { method: 'get', path: '/openapi.json' }]));
  return router;
}

/** Express's form of a path. An LSN may keep its slash. */
function routesOf(path: string): string[] {
  const route = path.replaceAll(/\{(\w+)\}/g, ':$1');
  return route.endsWith('/:lsn') ? [route, `${route.slice(0, -':lsn'.length)}:high/:low`] : [route];
}

async function perform({ query, body, handle }: Operation, request: Request, response: Response): Promise<void> {
  const { high, low, ...params } = request.params as Record<string, string>;
  if (high !== undefined && low !== undefined) params.lsn = `${high}/${low}`;
  await handle({
    request,
    response,
    params,
    query: read(query, request.query, 'query'),
    body: body === undefined ? undefined : read(body, await readJsonBody(request), 'body'),
    caller: callerOf(response),
  });
}

/** A known path that was asked for with another method: 405, and which there are. */
function refuseMethod(operations: readonly Pick<Operation, 'method' | 'path'>[]): RequestHandler {
  const known = operations.map(({ method, path }) => ({ method, pattern: patternOf(path) }));
  return (request, response, next) => {
    const methods = new Set(known.filter(({ pattern }) => pattern.test(request.path)).map(({ method }) => method));
    if (methods.size === 0) return next();
    const allow = [...methods].flatMap((method) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]));
    const headers = { Allow: [...allow, 'OPTIONS'].join(', ') };
    if (request.method !== 'OPTIONS') {
      throw new Problem(405, `${request.method} is not possible here, but ${allow.join(', ')}`, { headers });
    }
    response.status(204).set(headers).end();
  };
}

function patternOf(path: string): RegExp {
  const source = path
    .split('/')
    .map((part) =>
      part === '{lsn}' ? '[^/]+(?:/[^/]+)?' : part.startsWith('{') ? '[^/]+' : part.replaceAll('.', '\\.'),
    )
    .join('/');
  return new RegExp(`^${source}$`);
}
