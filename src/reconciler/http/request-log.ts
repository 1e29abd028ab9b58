import type { RequestHandler } from 'express';
import type { Logger } from '../../logging/logger.ts';
import type { Caller } from './authentication.ts';

/** One line per request when its answer is done or given up: who asked for what, and how it ended; never bodies or queries. */
export function requestLog(log: Logger): RequestHandler {
  return (request, response, next) => {
    const started = performance.now();
    const { method, path } = request;
    response.once('close', () => {
      const ms = Math.round(performance.now() - started);
      const caller = response.locals.caller as Caller | undefined;
      const { statusCode: status, writableFinished: whole } = response;
      log.info({ event: 'api_request', method, path, user: caller?.name, status, whole, ms }, 'request');
    });
    next();
  };
}
