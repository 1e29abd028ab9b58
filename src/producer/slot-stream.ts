import type { Socket } from 'node:net';
import type pg from 'pg';
import { LogicalReplicationService } from 'pg-logical-replication';
import { AbstractPlugin } from 'pg-logical-replication/dist/output-plugins/abstract.plugin.js';
import { quoteIdentifier, quoteLiteral } from '../postgres/identifier.ts';
import { formatLsn, type Lsn } from '../postgres/lsn.ts';
import { SOURCE_SETTINGS, startupOptions } from '../postgres/session.ts';

/** Asks for protocol 1 from 0/0: the slot itself knows where it stands, and what lies below our position is skipped. */
class RawPgoutput extends AbstractPlugin<{ publication: string }> {
  get name(): string {
    return 'pgoutput';
  }

  parse(buffer: Buffer): Buffer {
    return buffer;
  }

  start(client: pg.Client, slot: string): Promise<pg.QueryResult> {
    const publications = quoteLiteral(quoteIdentifier(this.options.publication));
    return client.query(
      `START_REPLICATION SLOT ${quoteIdentifier(slot)} LOGICAL 0/0 (proto_version '1', publication_names ${publications})`,
    );
  }
}

export interface SlotStreamHandler {
  /** One pgoutput message; `lsn` is PostgreSQL's text. The buffer is valid during the call only. */
  onMessage(lsn: string, message: Buffer): void;
  /** The server has sent everything below this LSN. */
  onKeepalive(lsn: string, replyRequested: boolean): void;
  /** The stream broke, or a handler threw; called once. */
  onError(error: unknown): void;
}

/** How long the server is waited for at the end. */
const CLOSE_MS = 1_000;

/**
 * The replication session that holds the slot. Messages and keepalives come strictly in order, since the library's own
 * queue, which keepalives overtake, is not used: back-pressure stops the socket instead, so that at most what has been
 * read from it already still comes.
 */
export class SlotStream {
  readonly #service: LogicalReplicationService;
  readonly #handler: SlotStreamHandler;
  #ended = false;

  private constructor(service: LogicalReplicationService, handler: SlotStreamHandler) {
    this.#service = service;
    this.#handler = handler;
  }

  /**
   * Starts replication. Resolves once the server streams.
   * @throws PostgreSQL's error, 55006 where another session holds the slot, 42704 where there is no slot
   */
  static async open(
    url: string,
    options: { slot: string; publication: string; walSenderTimeoutMs: number },
    handler: SlotStreamHandler,
  ): Promise<SlotStream> {
    const settings = { ...SOURCE_SETTINGS, wal_sender_timeout: `${options.walSenderTimeoutMs}` };
    const service = new LogicalReplicationService(
      {
        connectionString: url,
        application_name: 'siirays-sync producer',
        options: startupOptions(settings),
        connectionTimeoutMillis: 5_000,
        keepAlive: true,
      },
      // Left alone, the library acknowledges what was received, not what Kafka holds (its issue 174).
      { acknowledge: { auto: false, timeoutSeconds: 0 }, flowControl: { enabled: false } },
    );
    const stream = new SlotStream(service, handler);
    const { promise: started, resolve, reject } = Promise.withResolvers<void>();
    let streaming = false;
    service.on('start', () => {
      streaming = true;
      resolve();
    });
    service.on('error', (error) => {
      if (streaming) stream.#fail(error);
      else reject(error);
    });
    service.on('data', (lsn, message: Buffer) => {
      if (stream.#ended) return;
      stream.#guard(() => handler.onMessage(lsn, message));
    });
    service.on('heartbeat', (lsn, _timestamp, replyRequested) => {
      if (stream.#ended) return;
      stream.#guard(() => handler.onKeepalive(lsn, replyRequested));
    });
    service
      .subscribe(new RawPgoutput({ publication: options.publication }), options.slot)
      // The promise ends with the stream; a server that goes away in order ends it without an error.
      .then(() => stream.#fail(new Error('SIIRAyS ended the replication stream')))
      .catch((error: unknown) => {
        if (streaming) stream.#fail(error);
        else reject(error);
      });
    try {
      await started;
    } catch (error) {
      await stream.close();
      throw error;
    }
    return stream;
  }

  /**
   * Tells the server that everything below `lsn`, exclusively, is safe elsewhere. The library adds one to what it is
   * given, and a confirmed byte too many loses a transaction that begins exactly there.
   */
  async confirm(lsn: Lsn): Promise<void> {
    if (this.#ended || lsn === 0n) return;
    await this.#service.acknowledge(formatLsn(lsn - 1n));
  }

  /** Stops reading from the socket. */
  pause(): void {
    this.#socket()?.pause();
  }

  resume(): void {
    this.#socket()?.resume();
  }

  /** Ends the session; the slot becomes free. */
  async close(): Promise<void> {
    this.#ended = true;
    // A paused socket would not see the server's answer to the end; a server that is gone gives none.
    this.resume();
    const socket = this.#socket();
    const timer = setTimeout(() => socket?.destroy(), CLOSE_MS);
    await this.#service.destroy();
    clearTimeout(timer);
  }

  /** The library offers no way to its socket; it pauses it by the same path itself. */
  #socket(): Socket | undefined {
    return (this.#service as unknown as { _connection: { stream: Socket } | null })._connection?.stream;
  }

  #guard(handle: () => void): void {
    try {
      handle();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#handler.onError(error);
  }
}
