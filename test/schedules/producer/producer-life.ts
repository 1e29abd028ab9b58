import type { Lsn } from '../../../src/postgres/lsn.ts';
import { BrokenHistory } from '../../../src/producer/change-stream.ts';
import { Outgoing } from '../../../src/producer/outgoing.ts';
import { decodePosition, type FoundBroken, type Position } from '../../../src/producer/position.ts';
import { PublicationStart } from '../../../src/producer/publication-start.ts';
import type { StreamFeed } from '../../../src/producer/stream-feed.ts';
import { Streaming } from '../../../src/producer/streaming.ts';
import { TableEras } from '../../../src/producer/table-eras.ts';
import { TransactionWriter } from '../../../src/producer/transaction-writer.ts';
import { fakeWriter, TOPICS } from '../../producer/fake-writer.ts';
import { Network } from '../network.ts';
import type { SimulatedKafka } from './simulated-kafka.ts';
import { type Session, SHAPES, type SimulatedServer } from './simulated-server.ts';

const MESSAGE_BYTES = 900;
const PIECE_BYTES = 700;

export interface World {
  server: SimulatedServer;
  kafka: SimulatedKafka;
  now(): number;
}

/** One life of a producer: the production code of Streaming and all below it, between a server and a Kafka. */
export class ProducerLife {
  readonly network = new Network();
  readonly #world: World;
  readonly #ending = new AbortController();
  readonly #writer: TransactionWriter;
  readonly #streaming: Streaming;
  #session: Session | null = null;
  #feed: StreamFeed | null = null;
  position: Position | null = null;
  #standing = false;
  #dead = false;
  /** The first error, or the end in order. */
  ended: { error: unknown } | null = null;

  constructor(world: World, foundBroken: FoundBroken | null) {
    this.#world = world;
    const { server, kafka } = world;
    const outgoing = new Outgoing(MESSAGE_BYTES, PIECE_BYTES);
    this.#writer = new TransactionWriter(
      {
        kafka: kafka.client(this.network),
        transactionalIdPrefix: 'x',
        transactionTimeoutMs: 60_000,
        positionTopic: TOPICS.position,
      },
      outgoing,
    );
    const ask = <T>(apply: () => T): Promise<T> => this.network.call(apply);
    this.#streaming = new Streaming({
      outgoing,
      writer: this.#writer,
      fullBytes: 2 * PIECE_BYTES,
      holdSlot: async (handler) => {
        for (;;) {
          this.#ending.signal.throwIfAborted();
          const session = await ask(() => server.open(handler));
          if (!session) continue;
          this.#session = session;
          if (this.ended) this.#closeSession();
          return {
            pause: () => session.pause(true),
            resume: () => session.pause(false),
            confirm: async (lsn) => {
              if (lsn > 0n) session.confirming.push(lsn);
            },
          };
        }
      },
      slotPosition: () => ask(() => server.confirmed),
      lastPosition: () =>
        ask(() => {
          const last = kafka.committed(TOPICS.position).at(-1);
          return last ? decodePosition(String(last.value)) : null;
        }),
      identify: async () => {
        const flushLsn = await ask(() => server.lsn);
        const confirmedLsn = await ask(() => server.confirmed);
        return { systemIdentifier: '1', timeline: 1, slot: 's', publication: 'p', confirmedLsn, flushLsn };
      },
      foundBroken,
      onBroken: () => undefined,
      onError: (error) => this.end(error),
      signal: this.#ending.signal,
      now: () => world.now(),
    });
    this.#run().catch((error: unknown) => this.end(error));
  }

  /** Whether the process does anything: it is neither dead nor standing still. */
  get running(): boolean {
    return !this.#dead && !this.#standing;
  }

  /** Stops as by SIGSTOP, or goes on. */
  stand(still: boolean): void {
    this.#standing = still;
  }

  async #run(): Promise<void> {
    this.position = await this.#streaming.open();
    const writers = SHAPES.map(fakeWriter);
    const known = new Set<number>();
    const { feed } = this.#streaming.begin({
      topics: TOPICS,
      publicationStart: new PublicationStart(this.position.published),
      eras: new TableEras(),
      transactionIds: { key: 1, value: 2 },
      known: ({ oid }) => (known.has(oid) ? writers[oid] : undefined),
      resolve: async ({ oid }) => {
        await this.network.call(() => undefined);
        known.add(oid);
        return writers[oid]!;
      },
      now: () => 0,
      onSent: () => undefined,
      onCommitted: () => undefined,
    });
    this.#feed = feed;
  }

  /** What the stream found out about its history. */
  get foundBroken(): FoundBroken | null {
    return this.ended?.error instanceof BrokenHistory ? this.ended.error.found : null;
  }

  get session(): Session | null {
    return this.#session;
  }

  deliver(): void {
    if (!this.running || this.ended) return;
    // A handler that throws ends the stream: SlotStream.
    try {
      this.#session?.deliver();
    } catch (error) {
      this.end(error);
    }
  }

  tick(): void {
    if (this.running && !this.ended) this.#streaming.tick();
  }

  confirm(): void {
    if (this.running && !this.ended) this.#streaming.confirm().catch((error: unknown) => this.end(error));
  }

  /** What it had confirmed comes to the server. Gives it, with what the session started from. */
  arriveConfirmation(): { lsn: Lsn; startedAt: Lsn } | null {
    const session = this.#session;
    const lsn = session?.confirming.shift();
    if (lsn === undefined || session !== this.#world.server.session) return null;
    return { lsn, startedAt: session!.startedAt };
  }

  /** The end of the pipeline: what is under way may still come to its end. */
  end(error: unknown): void {
    if (this.ended) return;
    this.ended = { error };
    this.#ending.abort(error);
    this.#feed?.end(error);
    this.#writer.stop();
    this.#closeSession();
  }

  /** Killed: nothing of it goes on, though what it had sent may arrive. The server notices when it notices. */
  kill(arrives: boolean): void {
    this.ended = { error: new Error('killed') };
    this.#dead = true;
    this.network.die(arrives);
  }

  #closeSession(): void {
    if (this.#session && this.#session === this.#world.server.session) this.#world.server.endSession();
  }
}
