import type { Logger } from 'pino';
import { type Tuple, tupleOf } from '../kafka/tuple.ts';
import { formatLsn } from '../postgres/lsn.ts';
import type { ChangeStream } from './change-stream.ts';
import { Chunk } from './chunk.ts';
import { type ChunkReader, type Range, type ReadResult, TableNotPublished } from './chunk-reader.ts';
import type { PendingRequest } from './position.ts';
import type { TableEncoders } from './table-encoders.ts';

export interface SnapshotRunnerOptions {
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

/** Three times wal_writer_delay's largest usual value: by then asynchronous commits are flushed (manual, 28.4). */
const FLUSHED_AFTER_MS = 700;

/** PostgreSQL's error codes that mean "try again": lock not to be had, cancelled, table being changed. */
const RETRIED = new Set(['55P03', '57014', '40001', '40P01']);
const RETRY_MS = 500;

/**
 * Serves the accepted requests one after the other: reads chunks, holds them until the stream has passed their barrier,
 * and publishes them. Progress lies in the position, so that a killed snapshot goes on where it was.
 */
export class SnapshotRunner {
  readonly #options: SnapshotRunnerOptions;

  constructor(options: SnapshotRunnerOptions) {
    this.#options = options;
  }

  /** Serves requests until there is none; called again when one was accepted. */
  async drain(): Promise<void> {
    for (let request = this.#first(); request && !this.#options.signal.aborted; request = this.#first()) {
      const started = performance.now();
      if (request.kind === 'snapshot') await this.#snapshot(request);
      else await this.#rows(request);
      this.#options.log.info(
        {
          event: 'request_served',
          request: request.id,
          kind: request.kind,
          ms: Math.round(performance.now() - started),
        },
        'rows read again',
      );
    }
  }

  #first(): PendingRequest | undefined {
    return this.#options.stream.position.requests[0];
  }

  /** The queue with its first request changed, or without it. */
  #queue(change: Partial<PendingRequest> | null): PendingRequest[] {
    const [first, ...rest] = this.#options.stream.position.requests;
    return change ? [{ ...first!, ...change }, ...rest] : rest;
  }

  async #snapshot(request: PendingRequest): Promise<void> {
    const { stream, between } = this.#options;
    if (!request.begun) {
      await between(
        () => true,
        () => stream.publishSnapshotBound('BEGIN', request, this.#queue({ begun: true })),
      );
    }
    for (let table = request.table; table < request.tables.length; table++) {
      await this.#table(request.tables[table]!, table, table === request.table ? request.after : null);
    }
    await between(
      () => true,
      () => stream.publishSnapshotBound('END', this.#first()!, this.#queue(null)),
    );
  }

  async #table(name: string, place: number, from: string[] | null): Promise<void> {
    let after = from;
    for (let complete = false; !complete; ) {
      complete = await this.#chunk(name, { kind: 'following', after }, (result) => {
        const first = this.#first()!;
        after = result.lastKey ?? after;
        return this.#queue({
          table: result.complete ? place + 1 : place,
          after: result.complete ? null : after,
          chunks: first.chunks + 1,
          rows: first.rows + result.rows.length,
        });
      });
    }
  }

  async #rows(request: PendingRequest): Promise<void> {
    await this.#chunk(request.tables[0]!, { kind: 'keys', keys: request.keys ?? [] }, () => this.#queue(null));
  }

  /** Reads and publishes one chunk, as often as it takes; returns whether the table's end was reached. */
  async #chunk(name: string, range: Range, requests: (result: ReadResult) => PendingRequest[]): Promise<boolean> {
    const { stream, encoders, log, between, room, logLimit, signal } = this.#options;
    const dot = name.indexOf('.');
    for (;;) {
      signal.throwIfAborted();
      await room();
      const deliveredBefore = stream.delivered.copy();
      const chunk = new Chunk(name, logLimit);
      stream.watch(chunk);
      try {
        const result = await this.#read(name.slice(0, dot), name.slice(dot + 1), range);
        if (result === null) {
          await sleep(RETRY_MS, signal);
          continue;
        }
        const asked = range.kind === 'keys' ? range.keys.map((key) => keyRow(result, key)) : [];
        if (!chunk.arrive(result, deliveredBefore, asked)) {
          log.debug({ event: 'chunk_read_again', table: name, reason: 'unseen transactions' }, 'a chunk is read again');
          continue;
        }
        const writer = await encoders.forShape(result.shape);
        await this.#barrierPassed(chunk);
        const published = await between(
          () => stream.passed >= chunk.barrier!,
          () => {
            if (!stream.fits(chunk)) return null;
            const truncate = result.shape.key.length === 0;
            return stream.publishChunk(writer, chunk.rows(), truncate, chunk.absent(), requests(result));
          },
        );
        if (published === null) {
          log.debug({ event: 'chunk_read_again', table: name, reason: 'another shape' }, 'a chunk is read again');
          continue;
        }
        stream.delivered.forgetBelow(result.snapshot.xmin);
        log.debug(
          { event: 'chunk_published', table: name, rows: published, lsn: formatLsn(stream.position.end_lsn) },
          'a chunk is in its place',
        );
        return result.complete;
      } finally {
        stream.unwatch(chunk);
      }
    }
  }

  /** One read; null where it has to be tried again. */
  async #read(schema: string, table: string, range: Range): Promise<ReadResult | null> {
    try {
      return await this.#options.reader.read(schema, table, range);
    } catch (error) {
      const code = (error as { code?: string }).code;
      const retried = error instanceof TableNotPublished || (code !== undefined && RETRIED.has(code));
      if (!retried) throw error;
      this.#options.log.warn(
        { event: 'chunk_refused', table: `${schema}.${table}`, code, reason: (error as Error).message },
        'a table cannot be read now; it is tried again',
      );
      return null;
    }
  }

  /**
   * Waits for the stream to pass the chunk's barrier. On an idle server the insert position may stay ahead of what is
   * flushed, and so sent, for 15 s, with WAL that is no commit; then the flush position, read late enough, serves.
   */
  async #barrierPassed(chunk: Chunk): Promise<void> {
    const { stream, reader, signal, between } = this.#options;
    const passed = between(
      () => stream.passed >= chunk.barrier!,
      () => true,
    );
    // Whoever stops waiting below does so before this is settled; the pipeline's end rejects it.
    passed.catch(() => undefined);
    while (stream.passed < chunk.barrier!) {
      if (await Promise.race([passed, sleep(FLUSHED_AFTER_MS, signal).then(() => false)])) return;
      chunk.lowerBarrier(await reader.flushLsn());
    }
  }
}

/** A row of nothing but its key: what a deletion of an absent row is published as. */
function keyRow(result: ReadResult, key: string[]): Tuple {
  const values: (string | null)[] = new Array(result.shape.columns.length).fill(null);
  result.shape.key.forEach((place, i) => {
    values[place] = key[i] ?? null;
  });
  return tupleOf(values);
}

/** Waits, or rejects where the signal aborts first. */
async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = (): void => reject(signal.reason);
  const timer = setTimeout(resolve, ms);
  signal.addEventListener('abort', abort, { once: true });
  try {
    signal.throwIfAborted();
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}
