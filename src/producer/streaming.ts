import type { Lsn } from '../postgres/lsn.ts';
import { Acknowledgement } from './acknowledgement.ts';
import { ChangeStream, type ChangeStreamOptions } from './change-stream.ts';
import type { Outgoing } from './outgoing.ts';
import { brokenHistory, type FoundBroken, newHistory, type Position, type SourceIdentity } from './position.ts';
import type { SlotStream, SlotStreamHandler } from './slot-stream.ts';
import { StreamFeed, type StreamFeedOptions } from './stream-feed.ts';
import type { CommittedFigures, TransactionWriter } from './transaction-writer.ts';

export interface StreamingOptions {
  outgoing: Outgoing;
  writer: TransactionWriter;
  /** Bytes waiting for Kafka from which on the socket is stopped. */
  fullBytes: number;
  /** Starts replication. Resolves once this session holds the slot, however long another one does. */
  holdSlot(handler: SlotStreamHandler): Promise<Pick<SlotStream, 'confirm' | 'pause' | 'resume'>>;
  /** The slot's confirmed position. */
  slotPosition(): Promise<Lsn>;
  /** The newest committed position in Kafka. */
  lastPosition(): Promise<Position | null>;
  identify(): Promise<SourceIdentity>;
  /** A history that an earlier stream has found to be broken. */
  foundBroken: FoundBroken | null;
  onBroken(reason: string, history: number): void;
  onError(error: unknown): void;
  /** Aborted when this life ends: nobody is shut out for it any more. */
  signal: AbortSignal;
  /** Monotonic time, milliseconds. */
  now(): number;
}

export type BeginOptions = Omit<ChangeStreamOptions, 'outgoing' | 'position' | 'startedAt'> &
  Pick<StreamFeedOptions, 'resolve'> & {
    /** Called after each request to Kafka: there may be room again. */
    onSent(): void;
    onCommitted(position: Position, figures: CommittedFigures): void;
  };

/**
 * What flows from the slot to Kafka, and back as acknowledgements. The order is the protocol: hold the slot, fence, read
 * the position, and only then handle the stream; acknowledge only what a finished Kafka transaction holds. Everything
 * outside is given to it. Any error ends it for good: only new client objects are safe then.
 */
export class Streaming {
  readonly #options: StreamingOptions;
  readonly #acknowledgement = new Acknowledgement();
  /** What the socket brings before the position is read, in order. */
  readonly #early: { lsn: string; message: Buffer | null }[] = [];
  #slot: Pick<SlotStream, 'confirm' | 'pause' | 'resume'> | null = null;
  #start: { position: Position; confirmedLsn: Lsn } | null = null;
  #flow: { stream: ChangeStream; feed: StreamFeed } | null = null;

  constructor(options: StreamingOptions) {
    this.#options = options;
  }

  /** Holds the slot, shuts out older producers and finds the position from which the stream goes on. */
  async open(): Promise<Position> {
    const { holdSlot, slotPosition, writer, onError, signal } = this.#options;
    this.#slot = await holdSlot({
      onMessage: (lsn, message) => {
        if (this.#flow) this.#flow.feed.onMessage(lsn, message);
        else this.#early.push({ lsn, message: Buffer.from(message) });
      },
      onKeepalive: (lsn, replyRequested) => {
        if (this.#flow) this.#flow.feed.onKeepalive(lsn);
        else this.#early.push({ lsn, message: null });
        if (replyRequested) this.confirm().catch(onError);
      },
      onError,
    });
    this.#slot.pause();
    // From here on the server must hear of us: fencing and reading the position may take longer than it waits.
    this.#acknowledgement.known(await slotPosition());
    signal.throwIfAborted();
    await writer.fence();
    this.#start = await this.#findStart();
    signal.throwIfAborted();
    return this.#start.position;
  }

  /** Lets everything flow from the position on. `writing` ends when the writer is stopped, or with its error. */
  begin(options: BeginOptions): { stream: ChangeStream; feed: StreamFeed; writing: Promise<void> } {
    const { outgoing, writer, fullBytes, onError, now } = this.#options;
    const { position, confirmedLsn } = this.#start!;
    const slot = this.#slot!;
    const stream = new ChangeStream({ ...options, outgoing, position, startedAt: confirmedLsn });
    const feed = new StreamFeed({
      stream,
      resolve: options.resolve,
      pause: () => slot.pause(),
      resume: () => slot.resume(),
      isFull: () => outgoing.bytes >= fullBytes,
      onHandled: () => writer.wake(),
      onError,
    });
    const writing = writer.run(
      () => {
        options.onSent();
        feed.roomAgain();
      },
      (at, figures) => {
        this.#acknowledgement.committed(at);
        options.onCommitted(at, figures);
      },
    );
    writing.catch(onError);
    // A new history is told at once: who reads it has to know before the first change.
    if (position.seq === 0n && position.last === null) stream.update({}, true);
    this.#acknowledgement.resumed(position, now());
    this.#flow = { stream, feed };
    for (const { lsn, message } of this.#early.splice(0)) {
      if (message) feed.onMessage(lsn, message);
      else feed.onKeepalive(lsn);
    }
    writer.wake();
    feed.roomAgain();
    return { stream, feed, writing };
  }

  /** Tells the server what it need not keep; to be called from the beginning on, more often than it waits. */
  async confirm(): Promise<void> {
    await this.#slot?.confirm(this.#acknowledgement.confirmed(this.#flow?.stream.isContinuous ?? false));
  }

  /** To be called now and then: lets the position move on over WAL that holds nothing of ours. */
  tick(): void {
    if (!this.#flow) return;
    const { writer, now } = this.#options;
    const { stream, feed } = this.#flow;
    const idle = writer.isIdle && feed.isCaughtUp && !stream.inTransaction;
    if (!this.#acknowledgement.isPositionDue(idle, stream.passed, now())) return;
    stream.advance();
    writer.wake();
  }

  /** The position in Kafka, or the first one of a new history where the stream cannot go on from there. */
  async #findStart(): Promise<{ position: Position; confirmedLsn: Lsn }> {
    const { lastPosition, identify, foundBroken, onBroken } = this.#options;
    const previous = await lastPosition();
    const source = await identify();
    const { confirmedLsn } = source;
    if (!previous) return { position: newHistory(source, null), confirmedLsn };
    const broken = brokenHistory(previous, source, foundBroken);
    if (broken === null) return { position: { ...previous, timeline: source.timeline }, confirmedLsn };
    onBroken(broken, previous.history);
    return { position: newHistory(source, previous), confirmedLsn };
  }
}
