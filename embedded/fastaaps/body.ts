import type { Request, RequestHandler } from 'express';
import { refusal } from './answer.ts';

/** 415 for a body of another media type. */
export function requireType(type: string): RequestHandler {
  return (request, _response, next) => {
    const given = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
    if (given !== type) throw refusal(415, `the body must be ${type}`);
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity') throw refusal(415, 'the body must not be compressed');
    next();
  };
}

/**
 * The body as it comes, up to the limit. The request stays usable when the reading ends early, so that an answer can
 * still be given.
 */
export async function* limited(
  request: Request,
  { maxRequestBytes }: { maxRequestBytes?: number },
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += (chunk as Buffer).length;
    if (maxRequestBytes !== undefined && bytes > maxRequestBytes) {
      throw refusal(413, `the request is larger than ${maxRequestBytes} bytes`);
    }
    yield chunk as Buffer;
  }
}
