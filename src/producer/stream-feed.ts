import type { ChangeStream } from './change-stream.ts';
import type { RelationMessage } from './pgoutput.ts';
import type { TableWriter } from './table-encoders.ts';

interface Waiting {
  when(): boolean;
  act(): void;
  reject(error: unknown): void;
}

type Item = { lsn: string; message: Buffer } | { lsn: string; message: null };

export interface StreamFeedOptions {
  stream: ChangeStream;
  /** Finds the writer of a relation that nobody knows yet. */
  resolve(relation: RelationMessage): Promise<TableWriter>;
  /** Stops and restarts the socket. */
  pause(): void;
  resume(): void;
  /** Whether what waits for Kafka has reached its limit. */
  isFull(): boolean;
  /** Called after messages were handled: there may be something to send. */
  onHandled(): void;
  onError(error: unknown): void;
}

/**
 * Hands the replication stream's messages to the ChangeStream, one at a time and in order, and stops the socket while a
 * relation is being resolved or Kafka has too much before it. What the socket had already read is kept here meanwhile.
 */
export class StreamFeed {
  readonly #options: StreamFeedOptions;
  readonly #backlog: Item[] = [];
  readonly #waiting: Waiting[] = [];
  #held = false;
  #paused = true;
  #ended: { reason: unknown } | null = null;

  /** The socket is to be paused until the first `roomAgain`. */
  constructor(options: StreamFeedOptions) {
    this.#options = options;
  }

  onMessage(lsn: string, message: Buffer): void {
    // The buffer belongs to the client; what is not handled at once has to be copied.
    if (this.#held) this.#backlog.push({ lsn, message: Buffer.from(message) });
    else this.#handle(lsn, message);
  }

  onKeepalive(lsn: string): void {
    if (this.#held) this.#backlog.push({ lsn, message: null });
    else this.#keepalive(lsn);
  }

  /** Whether all that has been received is handled. */
  get isCaughtUp(): boolean {
    return this.#backlog.length === 0 && !this.#held;
  }

  /**
   * Runs `act` at the next place between two transactions where `when` holds.
   * @throws what `act` throws; the reason of `end` where that comes first
   */
  between<T>(when: () => boolean, act: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#ended) {
        reject(this.#ended.reason);
        return;
      }
      this.#waiting.push({ when, act: () => resolve(act()), reject });
      this.#runWaiting();
    });
  }

  /** Says that there is room again in what waits for Kafka. */
  roomAgain(): void {
    if (!this.#paused || this.#held || this.#options.isFull()) return;
    this.#paused = false;
    this.#options.resume();
  }

  /** Nothing is handled any more; who waits for a place learns why. */
  end(reason: unknown): void {
    this.#ended ??= { reason };
    for (const waiting of this.#waiting.splice(0)) waiting.reject(reason);
  }

  #handle(lsn: string, message: Buffer): void {
    if (this.#ended) return;
    const relation = this.#options.stream.handle(lsn, message);
    if (relation) {
      this.#hold(relation);
      return;
    }
    this.#afterHandling();
  }

  #keepalive(lsn: string): void {
    if (this.#ended) return;
    this.#options.stream.keepalive(lsn);
    this.#afterHandling();
  }

  #afterHandling(): void {
    if (this.#waiting.length > 0) this.#runWaiting();
    this.#options.onHandled();
    if (!this.#paused && this.#options.isFull()) {
      this.#paused = true;
      this.#options.pause();
    }
  }

  #runWaiting(): void {
    if (this.#ended || this.#options.stream.inTransaction) return;
    for (let i = 0; i < this.#waiting.length; ) {
      const waiting = this.#waiting[i]!;
      if (!waiting.when()) {
        i++;
        continue;
      }
      this.#waiting.splice(i, 1);
      try {
        waiting.act();
      } catch (error) {
        waiting.reject(error);
      }
      this.#options.onHandled();
    }
  }

  #hold(relation: RelationMessage): void {
    this.#held = true;
    this.#paused = true;
    this.#options.pause();
    this.#options
      .resolve(relation)
      .then((writer) => {
        this.#options.stream.learn(relation, writer);
        this.#held = false;
        this.#drain();
        this.roomAgain();
      })
      .catch((error: unknown) => this.#options.onError(error));
  }

  #drain(): void {
    while (!this.#held && !this.#ended) {
      const item = this.#backlog.shift();
      if (!item) return;
      if (item.message) this.#handle(item.lsn, item.message);
      else this.#keepalive(item.lsn);
    }
  }
}
