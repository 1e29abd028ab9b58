import { once } from 'node:events';
import type { Request, Response } from 'express';
import { goneSignal } from './gone.ts';
import { Problem } from './problem.ts';

const HEARTBEAT_MS = 15_000;
/** A reader that has taken nothing for so long is gone. */
const STUCK_MS = 60_000;

/** Server-sent events (HTML standard, 9.2). Keeps count of the open streams, and ends all of them with the server. */
export class EventStreams {
  readonly #signal: AbortSignal;
  readonly #most: number;
  #open = 0;

  /** @param signal ends every stream @param most streams open at once */
  constructor(signal: AbortSignal, most: number) {
    this.#signal = signal;
    this.#most = most;
  }

  /**
   * Answers a request with a stream: `write` sends events until it resolves, or throws because the reader went away.
   * A heartbeat comment every 15 s keeps proxies from closing it. What the reader saw before (Last-Event-ID) is ignored:
   * every stream begins with the state as it is.
   */
  async serve(request: Request, response: Response, write: (stream: EventStream) => Promise<void>): Promise<void> {
    if (this.#signal.aborted) throw new Problem(503, 'the server is ending', { headers: { 'Retry-After': '5' } });
    if (this.#open >= this.#most) {
      throw new Problem(503, `${this.#most} event streams are open already`, { headers: { 'Retry-After': '30' } });
    }
    response.status(200).set({ 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    response.flushHeaders();
    this.#open += 1;
    const stream = new EventStream(response, this.#signal);
    try {
      await write(stream);
      response.end();
    } catch (error) {
      if (!stream.signal.aborted) throw error;
      response.end();
    } finally {
      stream.close();
      this.#open -= 1;
    }
  }
}

export class EventStream {
  /** Aborts when the reader is gone, or the server ends. */
  readonly signal: AbortSignal;
  readonly #response: Response;
  readonly #heartbeat: NodeJS.Timeout;
  #stuckSince: number | null = null;

  constructor(response: Response, ending: AbortSignal) {
    this.#response = response;
    this.signal = AbortSignal.any([ending, goneSignal(response)]);
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS).unref();
  }

  /** Sends one event; resolves once the reader has room for another. @throws where it is gone */
  async send(event: string, data: unknown, id?: string): Promise<void> {
    this.signal.throwIfAborted();
    const head = id === undefined ? '' : `id: ${id}\n`;
    const roomy = this.#response.write(`${head}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    if (!roomy) await once(this.#response, 'drain', { signal: this.signal });
  }

  close(): void {
    clearInterval(this.#heartbeat);
  }

  #beat(): void {
    if (!this.#response.writableNeedDrain) {
      this.#stuckSince = null;
      this.#response.write(': heartbeat\n\n');
      return;
    }
    this.#stuckSince ??= performance.now();
    if (performance.now() - this.#stuckSince >= STUCK_MS) this.#response.destroy();
  }
}
