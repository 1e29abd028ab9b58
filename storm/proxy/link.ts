import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EndTxnHold } from './end-txn-hold.ts';
import { splitFrames } from './kafka-frames.ts';

interface Pair {
  client: Socket;
  server: Socket;
}

const HOST = '127.0.0.1';

/** A TCP proxy in front of one part: what the parts say to each other goes through it and can be disturbed there. */
export class Link {
  readonly name: string;
  readonly port: number;
  readonly #target: number;
  readonly #hold: EndTxnHold | undefined;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  /** Nothing passes before this is done. */
  #hole: Promise<void> = Promise.resolve();
  #delayMs = 0;
  #bytesLeft = Number.POSITIVE_INFINITY;

  private constructor(name: string, port: number, target: number, hold?: EndTxnHold) {
    this.name = name;
    this.port = port;
    this.#target = target;
    this.#hold = hold;
    this.#server = createServer({ pauseOnConnect: true }, (client) => this.#accept(client));
  }

  /** Listens on `port` and passes on to `target`, both on the loopback interface. */
  static async open(name: string, port: number, target: number, hold?: EndTxnHold): Promise<Link> {
    const link = new Link(name, port, target, hold);
    link.#server.listen(port, HOST);
    await once(link.#server, 'listening');
    return link;
  }

  /** Ends every connection at once, with a reset. */
  cut(): void {
    for (const { client, server } of this.#pairs) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  /** For so long not a byte passes, in either direction; no connection is closed. Then all of it comes. */
  async blackHole(forMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hole = promise;
    await sleep(forMs);
    resolve();
  }

  /** For so long each piece of data comes this much later. */
  async slow(forMs: number, delayMs: number): Promise<void> {
    this.#delayMs = delayMs;
    await sleep(forMs);
    this.#delayMs = 0;
  }

  /** Passes on so many bytes more, the last piece in part, and cuts. */
  cutAfter(bytes: number): void {
    this.#bytesLeft = bytes;
  }

  async close(): Promise<void> {
    this.#server.close();
    this.cut();
  }

  #accept(client: Socket): void {
    const server = connect(this.#target, HOST);
    const pair = { client, server };
    this.#pairs.add(pair);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.once('close', () => this.#closed(pair, socket));
    }
    void this.#pump(client, server, pair);
    void this.#pump(server, client);
  }

  /** What is held back goes on alone: then the connection to the broker outlives its client's. */
  #closed(pair: Pair, socket: Socket): void {
    if (socket === pair.client && this.#hold?.holds(pair.server)) return;
    pair.client.destroy();
    pair.server.destroy();
    this.#pairs.delete(pair);
  }

  async #pump(from: Socket, to: Socket, requests?: Pair): Promise<void> {
    const pieces = requests && this.#hold ? splitFrames(from) : from;
    try {
      for await (const piece of pieces as AsyncIterable<Buffer>) {
        if (requests && this.#hold?.take(piece, requests.server)) {
          requests.client.destroy();
          return;
        }
        await this.#hole;
        if (this.#delayMs > 0) await sleep(this.#delayMs);
        const part = piece.subarray(0, this.#bytesLeft);
        this.#bytesLeft -= part.length;
        if (!to.write(part)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
        if (this.#bytesLeft <= 0) {
          this.#bytesLeft = Number.POSITIVE_INFINITY;
          this.cut();
        }
      }
      to.end();
    } catch {
      to.destroy(); // one side is gone: 'close' ends the other
    }
  }
}
