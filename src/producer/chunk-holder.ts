import type { Logger } from 'pino';
import { formatLsn } from '../postgres/lsn.ts';
import { abortableSleep } from './abortable-sleep.ts';
import type { ChangeStream } from './change-stream.ts';
import { Chunk } from './chunk.ts';
import type { ChunkReader, Range, ReadResult } from './chunk-reader.ts';
import type { PendingRequest } from './position.ts';
import type { TableEncoders, TableWriter } from './table-encoders.ts';

export interface ChunkHolderOptions {
  stream: ChangeStream;
  reader: ChunkReader;
  encoders: TableEncoders;
  log: Logger;
  /** Runs `publish` at the next place between two transactions where `when` holds; gives what it returns. */
  between<T>(when: () => boolean, publish: () => T): Promise<T>;
  /** Waits until there is room for more in what waits for Kafka. */
  room(): Promise<void>;
  /** Bytes of changes that a chunk may gather while it is read. */
  logLimit: number;
  signal: AbortSignal;
}

/** A chunk that has been read, and hears of its table's changes until it is published or dropped. */
export interface HeldChunk {
  chunk: Chunk;
  result: ReadResult;
  writer: TableWriter;
  /** When it had been read, milliseconds of the monotonic clock. */
  arrived: number;
  /** Bytes of its rows. */
  bytes: number;
}

/** How often the flush position is looked at while the stream does not reach a chunk's barrier. */
const FLUSHED_MS = 100;

/** Reads chunks, holds them until the stream has passed their barrier, and publishes them there. */
export class ChunkHolder {
  readonly #options: ChunkHolderOptions;

  constructor(options: ChunkHolderOptions) {
    this.#options = options;
  }

  /**
   * Reads a chunk once. Null where it lacks something that the stream delivered before, so that it has to be read again.
   * @throws what the reader throws
   */
  async hold(name: string, range: Range): Promise<HeldChunk | null> {
    const { stream, reader, encoders, log, room, logLimit } = this.#options;
    await room();
    const chunk = new Chunk(name, logLimit);
    const deliveredBefore = stream.watch(chunk);
    try {
      const dot = name.indexOf('.');
      const result = await reader.read(name.slice(0, dot), name.slice(dot + 1), range);
      const arrived = performance.now();
      if (chunk.arrive(result, deliveredBefore, result.absent)) {
        const bytes = result.rows.reduce((sum, row) => sum + row.length, 0);
        return { chunk, result, writer: await encoders.forShape(result.shape), arrived, bytes };
      }
    } catch (error) {
      stream.unwatch(chunk);
      throw error;
    }
    stream.unwatch(chunk);
    log.debug({ event: 'chunk_read_again', table: name, reason: 'unseen transactions' }, 'a chunk is read again');
    return null;
  }

  /** Whether it can be published at the next place between two transactions. */
  isReady({ chunk }: HeldChunk): boolean {
    return this.#options.stream.passed >= chunk.barrier!;
  }

  /**
   * Publishes it once the stream has passed its barrier. False where its table has changed its shape meanwhile, so that
   * it has to be read again.
   * @param requests what the position says of the requests from there on
   */
  async publish(held: HeldChunk, requests: () => PendingRequest[]): Promise<boolean> {
    const { stream, log, between } = this.#options;
    const { chunk, result, writer } = held;
    try {
      await this.#barrierPassed(held);
      const published = await between(
        () => this.isReady(held),
        () => {
          if (!chunk.fits) return null;
          const truncate = result.shape.key.length === 0;
          return stream.publishChunk(writer, chunk.rows(), truncate, chunk.absent(), requests());
        },
      );
      if (published === null) {
        log.debug({ event: 'chunk_read_again', table: chunk.table, reason: 'another shape' }, 'a chunk is read again');
        return false;
      }
      stream.delivered.forgetSeen(result.snapshot);
      log.debug(
        { event: 'chunk_published', table: chunk.table, rows: published, lsn: formatLsn(stream.position.end_lsn) },
        'a chunk is in its place',
      );
      return true;
    } finally {
      stream.unwatch(chunk);
    }
  }

  drop({ chunk }: HeldChunk): void {
    this.#options.stream.unwatch(chunk);
  }

  /**
   * Waits for the stream to pass the chunk's barrier. On an idle server the insert position may stay ahead of what is
   * flushed, and so sent, for 15 s, with WAL that is no commit; then the flush position serves, read so late that every
   * asynchronous commit that the chunk's snapshot saw is flushed.
   */
  async #barrierPassed(held: HeldChunk): Promise<void> {
    const { reader, signal, between } = this.#options;
    if (this.isReady(held)) return;
    const passed = between(
      () => this.isReady(held),
      () => true,
    );
    // Whoever stops waiting below does so before this is settled; the pipeline's end rejects it.
    passed.catch(() => undefined);
    while (!this.isReady(held)) {
      if (await Promise.race([passed, abortableSleep(FLUSHED_MS, signal).then(() => false)])) return;
      const asked = performance.now();
      const { lsn, delayMs } = await reader.flushed();
      if (asked - held.arrived >= delayMs) held.chunk.lowerBarrier(lsn);
    }
  }
}
