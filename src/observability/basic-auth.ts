import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * Whether an Authorization header is HTTP Basic (RFC 7617) with this user and password. Both sides are hashed to one
 * length first, so that the time taken tells neither the length nor how much of the password was right.
 */
export function isAuthorized(header: string | undefined, username: string, password: string): boolean {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(header ?? '')?.[1] ?? '';
  const given = Buffer.from(encoded, 'base64').toString('utf8');
  return timingSafeEqual(sha256(given), sha256(`${username}:${password}`));
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}
