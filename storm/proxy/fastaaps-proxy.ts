import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import type { FastaapsAnswer } from '../plan.ts';

interface Armed {
  answer: FastaapsAnswer;
  times: number;
  done: PromiseWithResolvers<void>;
}

export interface Refused {
  id: string;
  lsn: string;
}

const HOST = '127.0.0.1';
const CHANGES = /^\/registro\/changes\b/;

/** An HTTP proxy in front of FASTAAPS, which answers changesets badly when it is told to. */
export class FastaapsProxy {
  readonly #target: string;
  readonly #silenceMs: number;
  readonly #onRefused: (refused: Refused) => void;
  readonly #server: Server;
  #armed: Armed | undefined;

  private constructor(target: string, silenceMs: number, onRefused: (refused: Refused) => void) {
    this.#target = target;
    this.#silenceMs = silenceMs;
    this.#onRefused = onRefused;
    this.#server = createServer((incoming, answer) => {
      this.#handle(incoming, answer).catch(() => answer.destroy());
    });
  }

  /** @param silenceMs how long a silence lasts: longer than the client waits */
  static async open(
    port: number,
    target: number,
    silenceMs: number,
    onRefused: (refused: Refused) => void,
  ): Promise<FastaapsProxy> {
    const proxy = new FastaapsProxy(`http://${HOST}:${target}`, silenceMs, onRefused);
    await new Promise<void>((resolve) => proxy.#server.listen(port, HOST, resolve));
    return proxy;
  }

  /** Answers the next changesets so; done when it has. */
  next(answer: FastaapsAnswer, times: number): Promise<void> {
    this.#armed?.done.resolve();
    this.#armed = { answer, times: answer === '422' ? 1 : times, done: Promise.withResolvers<void>() };
    return this.#armed.done.promise;
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #handle(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of incoming) pieces.push(piece as Buffer);
    const body = Buffer.concat(pieces);
    const armed = incoming.method === 'POST' && CHANGES.test(incoming.url!) ? this.#armed : undefined;
    if (armed) await this.#answerBadly(armed, incoming, body, answer);
    else await this.#pass(incoming, body, answer);
  }

  async #answerBadly(armed: Armed, incoming: IncomingMessage, body: Buffer, answer: ServerResponse): Promise<void> {
    const refused = armed.answer === '422' ? firstUpsert(body) : undefined;
    if (armed.answer === '422' && !refused) return this.#pass(incoming, body, answer);
    if (--armed.times <= 0) {
      this.#armed = undefined;
      armed.done.resolve();
    }
    switch (armed.answer) {
      case '500':
        return tell(answer, 500, { detail: 'broken' });
      case '429':
        return tell(answer, 429, { detail: 'too many' }, { 'retry-after': '1' });
      case '422':
        this.#onRefused(refused!);
        return tell(answer, 422, {
          detail: [{ id: Number(refused!.id), loc: ['informacion_general'], msg: 'refused on purpose', type: 'storm' }],
        });
      case 'silence':
        await sleep(this.#silenceMs);
        answer.destroy();
        return;
      case 'lost':
        await this.#forward(incoming, body);
        answer.destroy();
        return;
      case 'half': {
        const { text, status } = await this.#forward(incoming, body);
        answer.writeHead(status, { 'content-type': 'application/json', 'content-length': text.length });
        answer.write(text.subarray(0, Math.max(1, text.length >> 1)), () => answer.destroy());
      }
    }
  }

  async #forward(incoming: IncomingMessage, body: Buffer): Promise<{ status: number; text: Buffer }> {
    const { statusCode, body: given } = await request(this.#target + incoming.url!, this.#request(incoming, body));
    return { status: statusCode, text: Buffer.from(await given.arrayBuffer()) };
  }

  async #pass(incoming: IncomingMessage, body: Buffer, answer: ServerResponse): Promise<void> {
    const given = await request(this.#target + incoming.url!, this.#request(incoming, body));
    const { connection: _, 'transfer-encoding': __, ...headers } = given.headers;
    answer.writeHead(given.statusCode, headers);
    for await (const piece of given.body) answer.write(piece);
    answer.end();
  }

  #request(incoming: IncomingMessage, body: Buffer) {
    const {
      connection: _,
      'transfer-encoding': __,
      'content-length': ___,
      host: ____,
      expect: _____,
      ...headers
    } = incoming.headers;
    return { method: incoming.method as 'GET', headers, body: body.length > 0 ? body : undefined };
  }
}

function tell(answer: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  answer.writeHead(status, { 'content-type': 'application/json', ...headers });
  answer.end(JSON.stringify(body));
}

/** The first document that a changeset brings, and the changeset's LSN. */
function firstUpsert(body: Buffer): Refused | undefined {
  const [head, ...lines] = body.toString().split('\n');
  const upsert = lines.find((line) => line.startsWith('{"op":"upsert"'));
  const id = upsert && /"id":"?([^",]+)/.exec(upsert)?.[1];
  return id ? { id, lsn: (JSON.parse(head!) as { lsn: string }).lsn } : undefined;
}
