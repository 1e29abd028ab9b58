import type { RequestHandler } from 'express';
import type { Logger } from 'pino';

/** One line per request when its answer is done or given up: what was asked, how it ended; never bodies or headers. */
export function requestLog(log: Logger): RequestHandler {
  return (request, response, next) => {
    const started = performance.now();
    const { method, path } = request;
    const socketBytes = request.socket.bytesRead;
    response.once('close', () => {
      const ms = Math.round(performance.now() - started);
      const bytes = request.socket.bytesRead - socketBytes;
      const whole = response.writableFinished;
      const dbTag = request.query.db_tag;
      log.info({ event: 'request', method, path, dbTag, status: response.statusCode, whole, bytes, ms }, 'request');
    });
    next();
  };
}
