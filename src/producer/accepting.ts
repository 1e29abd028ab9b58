import type { Kafka } from 'kafkajs';
import type { Logger } from 'pino';
import { decodeSignal, type Signal } from '../kafka/signal.ts';
import { readTopic, type SingleReader } from '../kafka/single-reader.ts';
import type { ChangeStream } from './change-stream.ts';
import { ACCEPTED_KEPT, type PendingRequest } from './position.ts';

export interface AcceptingOptions {
  stream: ChangeStream;
  log: Logger;
  /** Runs `act` at the next place between two transactions where `when` holds. */
  between(when: () => boolean, act: () => void): Promise<void>;
  /** Bytes of accepted requests, as JSON, that a position may hold; a single request may be larger. */
  limit: number;
  /** A request was accepted. */
  onAccepted(): void;
  onError(error: unknown): void;
}

/**
 * Accepts signals in their order, each id once, by writing them into the position. Where the position holds as much as it
 * may, the rest waits in the topic.
 */
export class Accepting {
  readonly #options: AcceptingOptions;
  readonly #waiting: { offset: string; signal: Signal | null }[] = [];
  #reader: SingleReader | null = null;
  #paused = false;

  constructor(options: AcceptingOptions) {
    this.#options = options;
  }

  /** Reads the topic from where the position says. */
  async follow(kafka: Kafka, topic: string): Promise<void> {
    this.#reader = await readTopic({
      kafka,
      topic,
      from: this.#options.stream.position.signal_offset,
      onError: this.#options.onError,
      onMessages: (messages) => this.take(messages),
    });
    this.#regulate();
  }

  /** Takes what the topic brings. */
  take(messages: readonly { offset: string; value: Buffer | null }[]): void {
    for (const { offset, value } of messages) this.#waiting.push({ offset, signal: decodeSignal(value) });
    this.accept();
  }

  /** Accepts what there is room for; to be called again when a request has been served. */
  accept(): void {
    if (this.#waiting.length === 0) return;
    const { between, onError } = this.#options;
    between(
      () => true,
      () => this.#accept(),
    ).catch(onError);
  }

  async stop(): Promise<void> {
    await this.#reader?.stop();
  }

  #accept(): void {
    const { stream, log, limit, onAccepted } = this.#options;
    const { position } = stream;
    const known = new Set([...position.accepted, ...position.requests.map((request) => request.id)]);
    let requests = [...position.requests];
    const fresh: PendingRequest[] = [];
    let bytes = JSON.stringify(requests).length;
    let next = position.signal_offset;
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      const request = first.signal && !known.has(first.signal.id) ? pending(first.signal) : null;
      if (request) {
        bytes += Buffer.byteLength(JSON.stringify(request));
        if (bytes > limit && requests.length > 0) break;
        known.add(request.id);
        requests = [...requests.filter((other) => !isSuperseded(other, request)), request];
        fresh.push(request);
      }
      next = String(BigInt(first.offset) + 1n);
      this.#waiting.shift();
    }
    if (next !== position.signal_offset) {
      const accepted = [...position.accepted, ...fresh.map((request) => request.id)].slice(-ACCEPTED_KEPT);
      stream.update({ signal_offset: next, accepted, requests }, fresh.length > 0);
    }
    for (const { id, kind, connector } of fresh) {
      log.info({ event: 'request_accepted', request: id, kind, connector }, 'rows will be read again');
    }
    if (fresh.length > 0) onAccepted();
    this.#regulate();
  }

  #regulate(): void {
    const full = this.#waiting.length > 0;
    if (!this.#reader || full === this.#paused) return;
    this.#paused = full;
    if (full) this.#reader.pause();
    else this.#reader.resume();
  }
}

/** A connector waits for the newest snapshot that it asked for; one of fewer or other tables may never be served. */
function isSuperseded(older: PendingRequest, newer: PendingRequest): boolean {
  return older.kind === 'snapshot' && newer.kind === 'snapshot' && older.connector === newer.connector;
}

function pending(signal: Signal): PendingRequest {
  return {
    id: signal.id,
    kind: signal.kind,
    connector: signal.connector,
    tables: signal.kind === 'snapshot' ? signal.tables : [signal.table],
    keys: signal.kind === 'rows' ? signal.keys : null,
    begun: false,
    table: 0,
    after: null,
    shape: null,
    chunks: 0,
    rows: 0,
  };
}
