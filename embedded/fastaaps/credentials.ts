import { createHash, timingSafeEqual } from 'node:crypto';
import type { RequestHandler } from 'express';
import { refusal } from './answer.ts';

/** Who may call: HTTP Basic (RFC 7617), and Bearer (RFC 6750) where a token is set. */
export interface Credentials {
  username: string;
  password: string;
  token?: string;
}

/** Lets a request through only with the right credentials; else 401. */
export function requireCredentials(credentials: Credentials): RequestHandler {
  const accepted = [`Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`];
  if (credentials.token) accepted.push(`Bearer ${credentials.token}`);
  return (request, _response, next) => {
    const given = normalised(request.headers.authorization ?? '');
    let known = false;
    for (const one of accepted) known = equal(given, one) || known;
    if (!known)
      throw refusal(401, 'credentials are missing or wrong', { 'WWW-Authenticate': 'Basic realm="fastaaps"' });
    next();
  };
}

/** The scheme's name is case-insensitive (RFC 9110, 11.1). */
function normalised(authorization: string): string {
  const [scheme = '', ...rest] = authorization.split(' ');
  return `${scheme.charAt(0).toUpperCase()}${scheme.slice(1).toLowerCase()} ${rest.join(' ').trim()}`;
}

/** Digests have one length, so that neither the length nor the first difference shows in the time taken. */
function equal(left: string, right: string): boolean {
  return timingSafeEqual(digest(left), digest(right));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
