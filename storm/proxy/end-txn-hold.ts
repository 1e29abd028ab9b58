import type { Socket } from 'node:net';
import { API, apiKey } from './kafka-frames.ts';

/** After so long without a next transaction it is let through all the same. */
const LATEST_MS = 25_000;

/**
 * Holds back the next commit or abort of a Kafka transaction (EndTxn), whose client is cut off, and lets it through in
 * the middle of the next transaction: after that one's AddPartitionsToTxn and its first Produce.
 */
export class EndTxnHold {
  #armed: PromiseWithResolvers<{ inNextTransaction: boolean }> | undefined;
  #held: { frame: Buffer; server: Socket; timer: NodeJS.Timeout; begun: boolean } | undefined;

  /** Holds the next one back. Done when it has been let through. */
  async next(): Promise<{ inNextTransaction: boolean }> {
    this.#armed ??= Promise.withResolvers();
    return this.#armed.promise;
  }

  /** Whether this connection to the broker has something that is held back. */
  holds(server: Socket): boolean {
    return this.#held?.server === server;
  }

  /** Sees a request before it is passed on. True: it is kept. */
  take(frame: Buffer, server: Socket): boolean {
    const key = apiKey(frame);
    if (this.#armed && !this.#held && key === API.endTxn) {
      const timer = setTimeout(() => this.#release(false), LATEST_MS);
      this.#held = { frame, server, timer, begun: false };
      return true;
    }
    if (this.#held && key === API.addPartitionsToTxn) this.#held.begun = true;
    // The broker reads connections in the order in which they speak: this Produce first, then what was held.
    if (this.#held?.begun && key === API.produce) setImmediate(() => this.#release(true));
    return false;
  }

  #release(inNextTransaction: boolean): void {
    if (!this.#held) return;
    const { frame, server, timer } = this.#held;
    clearTimeout(timer);
    this.#held = undefined;
    server.end(frame);
    this.#armed?.resolve({ inNextTransaction });
    this.#armed = undefined;
  }
}
