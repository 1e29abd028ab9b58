import { setTimeout as sleep } from 'node:timers/promises';
import type { Kafka } from 'kafkajs';
import { lastRecord, readTopic, type SingleReader } from '../kafka/single-reader.ts';
import type { Logger } from '../logging/logger.ts';
import type { Lsn } from '../postgres/lsn.ts';
import { decodePosition, type Position } from '../producer/position.ts';
import { type Backoff, createBackoff } from '../retry/backoff.ts';

export interface PositionWatchOptions {
  kafka: Kafka;
  /** siirays.position */
  topic: string;
  retry: { minMs: number; maxMs: number };
  log: Logger;
  signal: AbortSignal;
}

/** How long the newest position is read for at the start. */
const READ_MS = 10_000;

/**
 * Knows the producer's newest position: up to which LSN everything is in Kafka, and as which transaction. It moves on
 * over WAL that holds nothing of ours too, so that it also tells when nothing has changed. Follows the topic for as long
 * as it lives, with new clients after an error; while Kafka is away it keeps what it knew last.
 */
export class PositionWatch {
  readonly #options: PositionWatchOptions;
  #newest: Position | null = null;
  #running: Promise<void> | null = null;

  constructor(options: PositionWatchOptions) {
    this.#options = options;
  }

  /** Begins to follow; without effect where it does already. */
  start(): void {
    this.#running ??= this.#follow();
  }

  /** Resolves when it has ended, which it does once its signal aborts. */
  async ended(): Promise<void> {
    await this.#running;
  }

  /** The newest position as far as it is known; null before the first. */
  get newest(): Position | null {
    return this.#newest;
  }

  /** The newest position, if everything below `lsn` is in Kafka by it. */
  reached(lsn: Lsn): Position | null {
    const newest = this.#newest;
    return newest !== null && newest.end_lsn >= lsn ? newest : null;
  }

  async #follow(): Promise<void> {
    const { log, signal, retry } = this.#options;
    const backoff = createBackoff(retry);
    while (!signal.aborted) {
      try {
        await this.#read(backoff);
      } catch (error) {
        if (signal.aborted) return;
        const retryMs = backoff.next();
        log.warn({ event: 'position_unknown', err: error, retryMs }, "the producer's position cannot be read now");
        await sleep(retryMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  async #read(backoff: Backoff): Promise<void> {
    const { kafka, topic, signal } = this.#options;
    const failure = new AbortController();
    const ended = AbortSignal.any([signal, failure.signal]);
    let reader: SingleReader | null = null;
    try {
      const last = await lastRecord(kafka, topic, READ_MS);
      if (last) this.#take(last.value);
      reader = await readTopic({
        kafka,
        topic,
        from: last ? String(BigInt(last.offset) + 1n) : '0',
        onError: (error) => failure.abort(error),
        onMessages: (messages) => this.#take(messages.at(-1)?.value ?? null),
      });
      backoff.reset();
      if (!ended.aborted) await new Promise((resolve) => ended.addEventListener('abort', resolve, { once: true }));
      if (failure.signal.aborted) throw failure.signal.reason;
    } finally {
      await reader?.stop().catch(() => undefined);
    }
  }

  #take(value: Buffer | null): void {
    if (value) this.#newest = decodePosition(value.toString('utf8'));
  }
}
