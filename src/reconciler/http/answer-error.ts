import type { ErrorRequestHandler } from 'express';
import type { Logger } from '../../logging/logger.ts';
import { InvalidPageToken } from '../runs/page-token.ts';
import { invalid, Problem } from './problem.ts';

/** PostgreSQL's classes of errors that pass by themselves (manual, appendix A), and broken sockets. */
const PASSING = /^(08|40|53|57|55P03|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN)/;

/** How long the rest of a body that is not wanted is read and dropped, so that the peer sees the answer. */
const DRAIN_MS = 5_000;

/** Answers an error as problem details. What went wrong inside stands in the log only. */
export function answerError(log: Logger): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    if (request.socket.destroyed) return;
    if (response.headersSent) {
      // The answer is under way: only a broken connection tells the reader that it is not whole.
      log.error({ event: 'api_answer_broken', err: error }, 'an answer broke off');
      response.destroy();
      return;
    }
    const { status, headers, body } = asProblem(error, log);
    response.status(status).set(headers).type('application/problem+json');
    response.send(JSON.stringify(body));
    if (!request.complete) setTimeout(() => request.complete || request.destroy(), DRAIN_MS).unref();
  };
}

function asProblem(error: unknown, log: Logger): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof InvalidPageToken) return invalid([{ parameter: 'before', detail: error.message }]);
  const { code, status } = error as { code?: string; status?: number };
  if (status !== undefined && status >= 400 && status < 500) return new Problem(status, 'the request cannot be read');
  log.error({ event: 'api_request_failed', err: error }, 'a request failed');
  if (code !== undefined && PASSING.test(code)) {
    return new Problem(503, 'the sync database is busy or away', { headers: { 'Retry-After': '2' } });
  }
  return new Problem(500, 'the service failed: its log tells why');
}
