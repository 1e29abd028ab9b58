import express, { type ErrorRequestHandler, type Express, type Request, type RequestHandler } from 'express';
import type pg from 'pg';
import type { Logger } from 'pino';
import { Refusal, refusal } from './answer.ts';
import { limited, requireType } from './body.ts';
import { answerChangeset } from './changeset-answer.ts';
import { type Credentials, requireCredentials } from './credentials.ts';
import { type Target, transaction, withClient } from './database.ts';
import { type CollectionModel, compileModels } from './model.ts';
import { openapi } from './openapi.ts';
import { ReaderGone } from './piece-writer.ts';
import { sendDocument, sendPosition, sendRestored, sendSet, sendVersions } from './reading.ts';
import { requestLog } from './request-log.ts';
import { restoreSet } from './restore.ts';
import { restoreLikeToday } from './today.ts';

export interface Limits {
  /** Longest line of a changeset, and longest document of a restored set. */
  maxLineBytes: number;
  /** Largest body; undefined: none is too large. */
  maxRequestBytes?: number;
}

export interface AppOptions {
  pool: pg.Pool;
  log: Logger;
  credentials: Credentials;
  models: readonly CollectionModel[];
  limits: Limits;
  likeToday: boolean;
}

/** The routes. In `likeToday` there are only the three that exist today, open to everybody. */
export function createApp({ pool, log, credentials, models, limits, likeToday }: AppOptions): Express {
  const modelOf = compileModels(models);
  const app = express();
  app.disable('x-powered-by').disable('etag').set('query parser', 'simple');
  app.use(requestLog(log));

  app.get('/healthz', async (_request, response) => {
    await pool.query('SELECT 1');
    response.json({ status: 'ok' });
  });
  if (!likeToday) {
    app.get('/openapi.json', (_request, response) => void response.json(openapi()));
    app.use(requireCredentials(credentials));
    app.post(/^\/(?<collection>.+)\/changes$/, requireType('application/x-ndjson'), async (request, response) => {
      const target = targetOf(request);
      await answerChangeset(pool, target, modelOf(target.collection), limited(request, limits), limits, response);
    });
    app.get(/^\/(?<collection>.+)\/position$/, (request, response) => sendPosition(pool, targetOf(request), response));
    app.get(/^\/(?<collection>.+)\/versions$/, (request, response) => sendVersions(pool, targetOf(request), response));
  }
  app.post(/^\/(?<collection>.+)\/restore$/, requireType('application/json'), async (request, response) => {
    const target = targetOf(request);
    const model = modelOf(target.collection);
    const body = limited(request, limits);
    if (likeToday) await restoreLikeToday(pool, target, model, body, limits.maxLineBytes);
    else {
      await withClient(pool, (client) =>
        transaction(client, () => restoreSet(client, target, model, body, limits.maxLineBytes)),
      );
    }
    await sendRestored(pool, target, response);
  });
  const sendWholeSet: RequestHandler = (request, response) => sendSet(pool, targetOf(request), response);
  app.get(/^\/(?<collection>.+)\/$/, sendWholeSet);
  app.get(/^\/(?<collection>[^/]+)$/, sendWholeSet);
  app.get(/^\/(?<collection>.+)\/(?<id>[^/]+)$/, (request, response) =>
    sendDocument(pool, targetOf(request), request.params.id as string, response),
  );
  app.use(() => {
    throw refusal(404, 'there is no such call');
  });
  app.use(writeError(log));
  return app;
}

const TAG = /^[A-Za-z0-9_-]{1,63}$/;

function targetOf(request: Request): Target {
  const dbTag = request.query.db_tag;
  if (typeof dbTag !== 'string' || !TAG.test(dbTag)) {
    throw new Refusal(422, [{ loc: ['query', 'db_tag'], msg: 'Field required', type: 'missing' }]);
  }
  const collection = request.params.collection as string;
  if (collection.includes('\0')) throw refusal(404, 'there is no such collection');
  return { collection, dbTag };
}

/** PostgreSQL's classes of errors that pass by themselves (manual, appendix A), lock_timeout, and broken sockets. */
const PASSING = /^(08|40|53|57|55P03|ECONN|EPIPE|ETIMEDOUT)/;

function writeError(log: Logger): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    if (error instanceof ReaderGone || request.socket.destroyed) return;
    if (response.headersSent) {
      // The answer is under way: only a broken connection tells the reader that it is not whole.
      log.error({ event: 'answer_broken', err: error }, 'an answer broke off');
      response.destroy();
      return;
    }
    const { status, detail, headers } = asRefusal(error, log);
    response.status(status).set(headers).json({ detail });
    // What is left of the body is read and dropped by Node, so that the peer gets the answer; a slow one is cut off.
    if (!request.complete) setTimeout(() => request.complete || request.destroy(), 5_000).unref();
  };
}

function asRefusal(error: unknown, log: Logger): Refusal {
  if (error instanceof Refusal) return error;
  const { code, status } = error as { code?: string; status?: number };
  if (status !== undefined && status >= 400 && status < 500) return refusal(status, 'the request cannot be read');
  log.error({ event: 'request_failed', err: error }, 'a request failed');
  const passing = code !== undefined && PASSING.test(code);
  return passing
    ? refusal(503, 'the database is busy or away', { 'Retry-After': '1' })
    : refusal(500, 'the service failed');
}
