import { Agent, type Dispatcher, request } from 'undici';
import type { FastaapsConfig } from '../config/types.ts';
import { FastaapsError } from './errors.ts';
import { requestBody } from './request-body.ts';
import { retryAfterMs } from './retry-after.ts';

export interface Call {
  method: 'GET' | 'POST';
  /** With the query: /registro/changes?db_tag=sync */
  path: string;
  contentType?: string;
  body?: AsyncIterable<string | Uint8Array>;
  signal?: AbortSignal;
}

export interface Answer {
  status: number;
  headers: Dispatcher.ResponseData['headers'];
  body: Dispatcher.ResponseData['body'];
  /** Bytes of the body that was sent. */
  sentBytes: number;
}

const CONNECTIONS = 8;
const CONNECT_TIMEOUT_MS = 10_000;
const MOST_ERROR_BYTES = 4 << 20;

/** Codes of errors that say that the other side's certificate is not trusted: no retry cures that by itself. */
const TLS_CODES = /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/;
/** The connection was never made: the request cannot have been carried out. */
const NEVER_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT']);

/** HTTP to the access service: a keep-alive pool, credentials, explicit timeouts, and errors in one form. */
export class Transport {
  private readonly agent: Agent;
  private readonly origin: string;
  private readonly basePath: string;
  private readonly authorization: string | undefined;
  private readonly timeoutMs: number;

  constructor(config: FastaapsConfig) {
    const url = new URL(config.url);
    this.origin = url.origin;
    this.basePath = url.pathname.replace(/\/+$/, '');
    this.authorization = authorizationOf(config);
    this.timeoutMs = config.timeoutMs;
    this.agent = new Agent({
      connections: CONNECTIONS,
      allowH2: false,
      connect: { timeout: CONNECT_TIMEOUT_MS, ...(config.ca === undefined ? {} : { ca: config.ca }) },
      headersTimeout: config.timeoutMs,
      bodyTimeout: config.timeoutMs,
      keepAliveTimeout: 30_000,
    });
  }

  /** Ends the pool; calls under way fail. */
  async close(): Promise<void> {
    await this.agent.destroy();
  }

  /**
   * Makes one call and gives its answer, whatever its status, with the body still to be read.
   * @throws FastaapsError for the network; what the body's source threw, as it is; the signal's reason
   */
  async call({ method, path, contentType, body, signal }: Call): Promise<Answer> {
    const aborter = new AbortController();
    const stalled = (): void => aborter.abort(new Error(`no data was taken for ${this.timeoutMs} ms`));
    const watch: { bytes: number; sourceError?: unknown } = { bytes: 0 };
    const sent = body && requestBody(body, watch, this.timeoutMs, stalled);
    const headers: Record<string, string> = { accept: 'application/json, application/x-ndjson' };
    if (this.authorization !== undefined) headers.authorization = this.authorization;
    if (contentType !== undefined) headers['content-type'] = contentType;
    try {
      const response = await request(this.origin + this.basePath + path, {
        dispatcher: this.agent,
        method,
        headers,
        body: sent as unknown as Dispatcher.DispatchOptions['body'],
        signal: signal ? AbortSignal.any([signal, aborter.signal]) : aborter.signal,
      });
      return { status: response.statusCode, headers: response.headers, body: response.body, sentBytes: watch.bytes };
    } catch (error) {
      if (watch.sourceError !== undefined) throw watch.sourceError;
      signal?.throwIfAborted();
      throw networkError(error);
    } finally {
      // The source may hold a cursor: it must be done with before anything else uses its connection.
      await sent?.return(undefined);
    }
  }
}

function authorizationOf({ token, username, password }: FastaapsConfig): string | undefined {
  if (token !== undefined) return `Bearer ${token}`;
  if (username === undefined) return undefined;
  return `Basic ${Buffer.from(`${username}:${password ?? ''}`).toString('base64')}`;
}

/** Brings an error of the connection into our form. Also for errors while an answer's body is read. */
export function networkError(error: unknown): FastaapsError {
  if (error instanceof FastaapsError) return error;
  const { code, message } = error as { code?: string; message?: string };
  const said = [code, message].filter(Boolean).join(': ');
  if (code !== undefined && TLS_CODES.test(code)) {
    return new FastaapsError('configuration', `FASTAAPS's certificate is not trusted: ${said}`, {
      setting: 'FASTAAPS_CA_FILE',
      cause: error,
    });
  }
  const outcomeUnknown = code === undefined || !NEVER_SENT.has(code);
  return new FastaapsError('retry', `FASTAAPS cannot be reached: ${said}`, { outcomeUnknown, cause: error });
}

const SETTINGS: Record<number, string> = {
  400: 'the service’s version: it does not understand our changesets',
  401: 'FASTAAPS_USERNAME and FASTAAPS_PASSWORD, or FASTAAPS_TOKEN',
  403: 'FASTAAPS_USERNAME and FASTAAPS_PASSWORD, or FASTAAPS_TOKEN: this account lacks the right',
  404: 'FASTAAPS_URL, and the connector’s target.path and target.adapter',
  405: 'FASTAAPS_URL, and the connector’s target.path and target.adapter',
  413: 'the service’s limit per line and per request, which our documents exceed',
  415: 'the service’s version, or a proxy in between: it does not take this content type',
};

/** What an answer that is no success means; reads its body. 422 is left to readRefusal. */
export async function statusError({ status, headers, body }: Answer): Promise<FastaapsError> {
  const text = await boundedText(body);
  const said = text === '' ? '' : `: ${oneSentence(text)}`;
  if (status === 408 || status === 429 || status >= 500) {
    const header = headers['retry-after'];
    return new FastaapsError('retry', `FASTAAPS answers ${status}${said}`, {
      status,
      retryAfterMs: retryAfterMs(Array.isArray(header) ? header[0] : header),
      outcomeUnknown: status !== 429,
    });
  }
  return new FastaapsError('configuration', `FASTAAPS answers ${status}${said}`, {
    status,
    setting: SETTINGS[status] ?? 'FASTAAPS_URL',
  });
}

/** The `error` of a detail where there is one; the body itself may hold a proxy's page, of which a little is enough. */
function oneSentence(text: string): string {
  try {
    const { detail } = JSON.parse(text) as { detail?: { error?: unknown } };
    if (typeof detail?.error === 'string') return detail.error.slice(0, 300);
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
  }
  return text.slice(0, 100).replaceAll(/\s+/g, ' ');
}

/** The text of an answer that should be short; what is beyond the limit is left unread. */
export async function boundedText(body: Answer['body'], most = MOST_ERROR_BYTES): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body) {
      chunks.push(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (bytes > most) break;
    }
  } catch (error) {
    throw networkError(error);
  }
  return Buffer.concat(chunks).toString('utf8');
}
