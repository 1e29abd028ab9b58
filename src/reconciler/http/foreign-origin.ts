import type { RequestHandler } from 'express';
import { Problem } from './problem.ts';

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Refuses changes that another site's page asks for: a browser sends the credentials that it knows by itself, but tells
 * where the page comes from (Fetch standard, "Origin header"; Fetch Metadata). Programs send neither header.
 * @param own origins of our own pages besides the address asked, e.g. https://sync.example behind a proxy that rewrites Host
 */
export function refuseForeignOrigins(own: readonly string[]): RequestHandler {
  return (request, _response, next) => {
    if (!SAFE.has(request.method)) {
      const origin = request.headers.origin;
      const foreign = origin === undefined ? isCrossSite(request.headers['sec-fetch-site']) : !isOwn(origin);
      if (foreign) throw new Problem(403, "another site's page may not change anything", { kind: 'foreign-origin' });
    }
    next();

    function isOwn(origin: string): boolean {
      return own.includes(origin) || (URL.canParse(origin) && new URL(origin).host === request.headers.host);
    }
  };
}

function isCrossSite(site: string | string[] | undefined): boolean {
  return site !== undefined && site !== 'same-origin' && site !== 'none';
}
