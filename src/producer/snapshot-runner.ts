import type { Logger } from 'pino';
import { formatLsn } from '../postgres/lsn.ts';
import { nameParts } from '../postgres/name-parts.ts';
import type { ChangeStream } from './change-stream.ts';
import { Chunk } from './chunk.ts';
import {
  type ChunkReader,
  type Range,
  type ReadResult,
  TableNotPublished,
  TableTooNew,
  TableTurned,
  UnfitKeys,
} from './chunk-reader.ts';
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
  /** A request is done: there is room for another among the accepted ones. */
  onServed(): void;
  /** Bytes of changes that a chunk may gather while it is read. */
  logLimit: number;
  signal: AbortSignal;
}

/** How often the flush position is looked at while the stream does not reach a chunk's barrier. */
const FLUSHED_MS = 200;

/** PostgreSQL's error codes that mean "try again": lock not to be had, cancelled, table being changed, right missing. */
const RETRIED = new Set(['55P03', '57014', '40001', '40P01', '42501']);
const RETRY_MS = 500;
/** A chunk that did not fit is read again after this, doubled each time up to RETRY_MS. */
const AGAIN_MS = 20;
/** Rows that are asked for by key are read so many at a time. */
const KEYS_AT_ONCE = 500;

/** The request cannot be served now, and another one waits that perhaps can. */
class Postponed extends Error {}
/** The request is not the first one any more: a newer one has taken its place. */
class Superseded extends Error {}
/** The request can never be served. */
class Refused extends Error {}

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
    const { log, signal, onServed } = this.#options;
    for (let request = this.#first(); request && !signal.aborted; request = this.#first()) {
      const started = performance.now();
      const { id, kind } = request;
      try {
        if (kind === 'snapshot') await this.#snapshot(request);
        else await this.#rows(request);
        const ms = Math.round(performance.now() - started);
        log.info({ event: 'request_served', request: id, kind, ms }, 'rows read again');
      } catch (error) {
        if (error instanceof Postponed) {
          await this.#reorder(() => this.#withOtherFirst());
          continue;
        }
        if (error instanceof Superseded) {
          log.info({ event: 'request_superseded', request: id, kind }, 'a newer request takes its place');
          continue;
        }
        if (!(error instanceof Refused)) throw error;
        log.error({ event: 'request_refused', request: id, kind, reason: error.message }, 'a request is dropped');
        await this.#reorder(() => this.#queue(request, null));
      }
      onServed();
    }
  }

  #first(): PendingRequest | undefined {
    return this.#options.stream.position.requests[0];
  }

  /**
   * The queue with its first request changed, or without it.
   * @throws Superseded where that is not the one that is being served
   */
  #queue({ id }: PendingRequest, change: Partial<PendingRequest> | null): PendingRequest[] {
    const [first, ...rest] = this.#options.stream.position.requests;
    if (first?.id !== id) throw new Superseded();
    return change ? [{ ...first, ...change }, ...rest] : rest;
  }

  /** A request that may go before the first one: not a snapshot of the same connector, whose order matters. */
  #other(): PendingRequest | undefined {
    const [first, ...rest] = this.#options.stream.position.requests;
    return rest.find((request) => request.kind === 'rows' || request.connector !== first!.connector);
  }

  #withOtherFirst(): PendingRequest[] {
    const { requests } = this.#options.stream.position;
    const other = this.#other();
    return other ? [other, ...requests.filter((request) => request !== other)] : requests;
  }

  async #reorder(requests: () => PendingRequest[]): Promise<void> {
    const { stream, between } = this.#options;
    await between(
      () => true,
      () => stream.update({ requests: requests() }, true),
    );
  }

  async #snapshot(request: PendingRequest): Promise<void> {
    const { stream, between } = this.#options;
    if (!request.begun) {
      await between(
        () => true,
        () => stream.publishSnapshotBound('BEGIN', request, this.#queue(request, { begun: true })),
      );
    }
    for (let table = request.table; table < request.tables.length; table++) {
      await this.#table(request, table);
    }
    await between(
      () => true,
      () => stream.publishSnapshotBound('END', request, this.#queue(request, null)),
    );
  }

  async #table(request: PendingRequest, place: number): Promise<void> {
    const name = request.tables[place]!;
    let [after, shape] = place === request.table ? [request.after, request.shape] : [null, null];
    for (let complete = false; !complete; ) {
      complete = await this.#chunk(request, name, { kind: 'following', after, shape }, (result) => {
        const first = this.#first()!;
        after = result.lastKey;
        shape = result.shape.fingerprint;
        return this.#queue(request, {
          table: result.complete ? place + 1 : place,
          after: result.complete ? null : after,
          shape: result.complete ? null : shape,
          chunks: first.chunks + 1,
          rows: first.rows + result.rows.length,
        });
      });
    }
  }

  async #rows(request: PendingRequest): Promise<void> {
    for (let left = request.keys ?? []; left.length > 0; ) {
      const keys = left.slice(0, KEYS_AT_ONCE);
      await this.#chunk(request, request.tables[0]!, { kind: 'keys', keys }, (result) => {
        // A table without a key comes whole, whichever of its rows were asked for.
        left = result.shape.key.length > 0 ? left.slice(KEYS_AT_ONCE) : [];
        return this.#queue(request, left.length > 0 ? { keys: left } : null);
      });
    }
  }

  /** Reads and publishes one chunk, as often as it takes; returns whether the table's end was reached. */
  async #chunk(
    request: PendingRequest,
    name: string,
    range: Range,
    requests: (result: ReadResult) => PendingRequest[],
  ): Promise<boolean> {
    const { stream, encoders, log, between, room, logLimit, signal } = this.#options;
    for (let wait = AGAIN_MS; ; wait = Math.min(RETRY_MS, 2 * wait)) {
      signal.throwIfAborted();
      await room();
      const chunk = new Chunk(name, logLimit);
      const deliveredBefore = stream.watch(chunk);
      try {
        const result = await this.#read(name, range);
        if (result === null) {
          await sleep(RETRY_MS, signal);
          if (this.#first()?.id !== request.id) throw new Superseded();
          if (this.#other()) throw new Postponed();
          continue;
        }
        if (result.unfit > 0) {
          log.warn(
            { event: 'keys_unfit', table: name, keys: result.unfit },
            'keys were asked for that the table cannot have as it is now: nothing is published for them',
          );
        }
        if (!chunk.arrive(result, deliveredBefore, result.absent)) {
          log.debug({ event: 'chunk_read_again', table: name, reason: 'unseen transactions' }, 'a chunk is read again');
          await sleep(wait, signal);
          continue;
        }
        const writer = await encoders.forShape(result.shape);
        await this.#barrierPassed(chunk);
        const published = await between(
          () => stream.passed >= chunk.barrier!,
          () => {
            if (!chunk.fits) return null;
            const truncate = result.shape.key.length === 0;
            return stream.publishChunk(writer, chunk.rows(), truncate, chunk.absent(), requests(result));
          },
        );
        if (published === null) {
          log.debug({ event: 'chunk_read_again', table: name, reason: 'another shape' }, 'a chunk is read again');
          await sleep(wait, signal);
          continue;
        }
        stream.delivered.forgetSeen(result.snapshot);
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

  /**
   * One read; null where it has to be tried again.
   * @throws Refused where certain rows were asked for in a way that no table of now can answer
   */
  async #read(name: string, range: Range): Promise<ReadResult | null> {
    const [schema, table = ''] = nameParts(name);
    try {
      return await this.#options.reader.read(schema, table, range);
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      const missing = error instanceof TableNotPublished || code === '42P01' || code === '3F000';
      const unready = error instanceof TableTooNew || error instanceof TableTurned;
      const retried = missing || unready || (code !== undefined && RETRIED.has(code));
      const unfit = error instanceof UnfitKeys || code?.startsWith('22') === true;
      if (range.kind === 'keys' && (missing || unfit)) throw new Refused(message, { cause: error });
      if (!retried) throw error;
      this.#options.log.warn(
        { event: 'chunk_refused', table: name, code, reason: message },
        'a table cannot be read now; it is tried again',
      );
      return null;
    }
  }

  /**
   * Waits for the stream to pass the chunk's barrier. On an idle server the insert position may stay ahead of what is
   * flushed, and so sent, for 15 s, with WAL that is no commit; then the flush position serves, read so late that every
   * asynchronous commit that the chunk's snapshot saw is flushed.
   */
  async #barrierPassed(chunk: Chunk): Promise<void> {
    const { stream, reader, signal, between } = this.#options;
    const arrived = performance.now();
    const passed = between(
      () => stream.passed >= chunk.barrier!,
      () => true,
    );
    // Whoever stops waiting below does so before this is settled; the pipeline's end rejects it.
    passed.catch(() => undefined);
    while (stream.passed < chunk.barrier!) {
      if (await Promise.race([passed, sleep(FLUSHED_MS, signal).then(() => false)])) return;
      const asked = performance.now();
      const { lsn, delayMs } = await reader.flushed();
      if (asked - arrived >= delayMs) chunk.lowerBarrier(lsn);
    }
  }
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
