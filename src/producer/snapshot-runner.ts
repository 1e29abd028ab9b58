import { abortableSleep } from './abortable-sleep.ts';
import { ChunkHolder, type ChunkHolderOptions, type HeldChunk } from './chunk-holder.ts';
import { type Range, TableNotPublished, TableTooNew, UnfitKeys } from './chunk-reader.ts';
import type { PendingRequest } from './position.ts';

export interface SnapshotRunnerOptions extends ChunkHolderOptions {
  /** A request is done: there is room for another among the accepted ones. */
  onServed(): void;
  /** Bytes of rows that may be held at once, beside one chunk. */
  heldLimit: number;
}

/** Where a snapshot has come to: a place in its tables, and the key there. */
type Place = Pick<PendingRequest, 'table' | 'after' | 'shape'>;

/** PostgreSQL's error codes that mean "try again": lock not to be had, cancelled, table being changed, right missing. */
const RETRIED = new Set(['55P03', '57014', '40001', '40P01', '42501']);
const RETRY_MS = 500;
/** A chunk that did not fit is read again after this, doubled each time up to RETRY_MS. */
const AGAIN_MS = 20;
/** Chunks that are held at once, at most. */
const AHEAD = 16;
/** Rows that are asked for by key are read so many at a time. */
const KEYS_AT_ONCE = 500;

/** The request cannot be served now, and another one waits that perhaps can. */
class Postponed extends Error {}
/** The request can never be served. */
class Refused extends Error {}

/**
 * Serves the accepted requests one after the other: reads chunks, holds them until the stream has passed their barrier,
 * and publishes them. Progress lies in the position, so that a killed snapshot goes on where it was.
 */
export class SnapshotRunner {
  readonly #options: SnapshotRunnerOptions;
  readonly #holder: ChunkHolder;

  constructor(options: SnapshotRunnerOptions) {
    this.#options = options;
    this.#holder = new ChunkHolder(options);
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
          await this.#reorder(this.#withOtherFirst());
          continue;
        }
        if (!(error instanceof Refused)) throw error;
        log.error({ event: 'request_refused', request: id, kind, reason: error.message }, 'a request is dropped');
        await this.#reorder(this.#queue(null));
      }
      onServed();
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

  async #reorder(requests: PendingRequest[]): Promise<void> {
    const { stream, between } = this.#options;
    await between(
      () => true,
      () => stream.update({ requests }, true),
    );
  }

  /** Reads ahead while chunks wait for their barriers: on an idle server each may have to wait for some time. */
  async #snapshot(request: PendingRequest): Promise<void> {
    const { stream, between, signal, heldLimit } = this.#options;
    const { tables } = request;
    if (!request.begun) {
      await between(
        () => true,
        () => stream.publishSnapshotBound('BEGIN', request, this.#queue({ begun: true })),
      );
    }
    let next: Place = { table: request.table, after: request.after, shape: request.shape };
    const ahead: { held: HeldChunk; from: Place; to: Place }[] = [];
    let wait = AGAIN_MS;
    let stalled = false;
    try {
      while (ahead.length > 0 || next.table < tables.length) {
        signal.throwIfAborted();
        const [head] = ahead;
        const bytes = ahead.reduce((sum, { held }) => sum + held.bytes, 0);
        const full = stalled || next.table >= tables.length || ahead.length >= AHEAD || bytes >= heldLimit;
        if (head && (full || this.#holder.isReady(head.held))) {
          ahead.shift();
          stalled = false;
          if (await this.#holder.publish(head.held, () => this.#progress(head.to, head.held))) continue;
          // What was read after it follows a key that may be none any more.
          for (const { held } of ahead.splice(0)) this.#holder.drop(held);
          next = head.from;
          await abortableSleep(wait, signal);
          wait = Math.min(RETRY_MS, 2 * wait);
          continue;
        }
        const held = await this.#hold(tables[next.table]!, { kind: 'following', after: next.after, shape: next.shape });
        if (held instanceof Object) {
          const to = following(next, held);
          ahead.push({ held, from: next, to });
          next = to;
          wait = AGAIN_MS;
        } else if (head) {
          stalled = true;
        } else {
          await this.#pause(held, wait);
          wait = Math.min(RETRY_MS, 2 * wait);
        }
      }
    } finally {
      for (const { held } of ahead) this.#holder.drop(held);
    }
    await between(
      () => true,
      () => stream.publishSnapshotBound('END', this.#first()!, this.#queue(null)),
    );
  }

  #progress(to: Place, { result }: HeldChunk): PendingRequest[] {
    const { chunks, rows } = this.#first()!;
    return this.#queue({ ...to, chunks: chunks + 1, rows: rows + result.rows.length });
  }

  async #rows(request: PendingRequest): Promise<void> {
    let wait = AGAIN_MS;
    for (let left = request.keys ?? []; left.length > 0; ) {
      this.#options.signal.throwIfAborted();
      const held = await this.#hold(request.tables[0]!, { kind: 'keys', keys: left.slice(0, KEYS_AT_ONCE) });
      if (held instanceof Object) {
        // A table without a key comes whole, whichever of its rows were asked for.
        const rest = held.result.shape.key.length > 0 ? left.slice(KEYS_AT_ONCE) : [];
        const published = await this.#holder.publish(held, () => this.#queue(rest.length > 0 ? { keys: rest } : null));
        if (published) {
          left = rest;
          wait = AGAIN_MS;
          continue;
        }
      }
      await this.#pause(held instanceof Object ? 'again' : held, wait);
      wait = Math.min(RETRY_MS, 2 * wait);
    }
  }

  /** Waits before another try; where the table cannot be read now and others wait, they go first. */
  async #pause(reason: 'again' | 'refused', wait: number): Promise<void> {
    await abortableSleep(reason === 'again' ? wait : RETRY_MS, this.#options.signal);
    if (reason === 'refused' && this.#other()) throw new Postponed();
  }

  /**
   * One read; `again` where it has to be repeated, `refused` where the table cannot be read now.
   * @throws Refused where certain rows were asked for in a way that no table of now can answer
   */
  async #hold(name: string, range: Range): Promise<HeldChunk | 'again' | 'refused'> {
    try {
      return (await this.#holder.hold(name, range)) ?? 'again';
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      const missing = error instanceof TableNotPublished || code === '42P01' || code === '3F000';
      const retried = missing || error instanceof TableTooNew || (code !== undefined && RETRIED.has(code));
      const unfit = error instanceof UnfitKeys || code?.startsWith('22') === true;
      if (range.kind === 'keys' && (missing || unfit)) throw new Refused(message, { cause: error });
      if (!retried) throw error;
      this.#options.log.warn(
        { event: 'chunk_refused', table: name, code, reason: message },
        'a table cannot be read now; it is tried again',
      );
      return 'refused';
    }
  }
}

/** The place behind a chunk. */
function following({ table }: Place, { result }: HeldChunk): Place {
  if (result.complete) return { table: table + 1, after: null, shape: null };
  return { table, after: result.lastKey, shape: result.shape.fingerprint };
}
