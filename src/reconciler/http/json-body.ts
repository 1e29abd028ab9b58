import type { Request } from 'express';
import { Problem } from './problem.ts';

/** Largest body that is read. */
const MOST_BYTES = 1_000_000;

/**
 * Reads a JSON body; one without a byte is {}.
 * @throws Problem 415 (no plain UTF-8 JSON), 413 (too large: at once, whatever is still to come), 400 (malformed)
 */
export async function readJsonBody(request: Request): Promise<unknown> {
  const length = request.headers['content-length'];
  if (request.headers['transfer-encoding'] === undefined && (length === undefined || length === '0')) return {};
  requireJson(request);
  if (Number(length) > MOST_BYTES) throw tooLarge();
  const text = decode(await readBytes(request));
  if (text === '') return {};
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem(400, 'the body is no JSON', { kind: 'malformed-json' });
  }
}

function requireJson(request: Request): void {
  const charset = /;\s*charset="?([^";]+)/i.exec(request.headers['content-type'] ?? '')?.[1] ?? 'utf-8';
  const coding = request.headers['content-encoding'] ?? 'identity';
  if (!request.is('application/json')) throw new Problem(415, 'the body must be application/json');
  if (!/^utf-?8$/i.test(charset) || coding.toLowerCase() !== 'identity') {
    throw new Problem(415, 'the body must be plain UTF-8, not compressed');
  }
}

function readBytes(request: Request): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const end = (error?: unknown): void => {
      request.off('data', take).off('end', end).off('error', end).off('close', end);
      if (error !== undefined) reject(error);
      else if (request.complete) resolve(Buffer.concat(chunks));
      else reject(new Problem(400, 'the body broke off'));
    };
    const take = (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes > MOST_BYTES) end(tooLarge());
      else chunks.push(chunk);
    };
    request.on('data', take).once('end', end).once('error', end).once('close', end);
  });
}

function decode(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Problem(400, 'the body is not UTF-8', { kind: 'malformed-json' });
  }
}

function tooLarge(): Problem {
  return new Problem(413, 'the body may have 1 MB at most');
}
