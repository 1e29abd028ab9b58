import type { Lsn } from '../../../src/postgres/lsn.ts';
import { formatLsn } from '../../../src/postgres/lsn.ts';
import type { SlotStreamHandler } from '../../../src/producer/slot-stream.ts';
import { relationOf, shapeOf } from '../../producer/fake-writer.ts';
import * as message from '../../producer/pgoutput-messages.ts';

/** A committed transaction: per event its table and the inserted key. */
export interface Commit {
  xid: number;
  commitLsn: Lsn;
  endLsn: Lsn;
  ms: number;
  events: { table: number; value: string }[];
}

/** A copy of the server's disk. */
interface Disk {
  commits: Commit[];
  lsn: Lsn;
  nextXid: number;
  confirmed: Lsn;
}

export const SHAPES = ['a', 'b'].map((table) => shapeOf(table, ['id']));

/** A replication session as the server sees it; what it has sent lies in the socket. */
export class Session {
  readonly #server: SimulatedServer;
  readonly handler: SlotStreamHandler;
  readonly startedAt: Lsn;
  readonly #described = new Set<number>();
  #next: number;
  readonly socket: (Buffer | { keepalive: Lsn; reply: boolean })[] = [];
  /** What the client has confirmed and the server not read yet. */
  readonly confirming: Lsn[] = [];
  paused = false;
  ended = false;

  constructor(server: SimulatedServer, handler: SlotStreamHandler) {
    this.#server = server;
    this.handler = handler;
    this.startedAt = server.confirmed;
    const from = server.commits.findIndex(({ commitLsn }) => commitLsn >= server.confirmed);
    this.#next = from === -1 ? server.commits.length : from;
  }

  get isCaughtUp(): boolean {
    return this.#next === this.#server.commits.length;
  }

  pause(on: boolean): void {
    this.paused = on;
  }

  /** The server decodes the next commit. */
  send(): void {
    const commit = this.#server.commits[this.#next];
    if (!commit || this.ended) return;
    this.#next++;
    if (commit.events.length === 0 && !this.#server.sendsEmpty) return;
    this.socket.push(message.begin(commit.xid, commit.commitLsn, commit.ms));
    for (const { table, value } of commit.events) {
      if (!this.#described.has(table)) this.socket.push(message.relation(relationOf(table, SHAPES[table]!)));
      this.#described.add(table);
      this.socket.push(message.insert(table, [value]));
    }
    this.socket.push(message.commit(commit.commitLsn, commit.endLsn, commit.ms));
  }

  /** Once everything is sent, the server says how far its WAL goes. */
  keepalive(reply: boolean): void {
    if (this.isCaughtUp && !this.ended) this.socket.push({ keepalive: this.#server.lsn, reply });
  }

  /** The client takes the next message, or hears of the end. */
  deliver(): void {
    const next = this.socket.shift();
    if (next === undefined) {
      if (this.ended) this.handler.onError(new Error('the server ended the stream'));
    } else if (Buffer.isBuffer(next)) {
      // Overwritten afterwards, as the client does with its buffer.
      const lent = Buffer.from(next);
      this.handler.onMessage('0/1', lent);
      lent.fill(0xee);
    } else {
      this.handler.onKeepalive(formatLsn(next.keepalive), next.reply);
    }
  }
}

/** SIIRAyS as a logical replication client sees it: commits in WAL order, and one slot that discards what is confirmed. */
export class SimulatedServer {
  readonly #random: (below: number) => number;
  /** Before PostgreSQL 15 transactions without published changes are sent, too. */
  readonly sendsEmpty: boolean;
  commits: Commit[] = [];
  lsn: Lsn = 0x1000n;
  confirmed: Lsn = 0x1000n;
  /** What is written to disk of `confirmed`: a crash may turn the slot back to it. */
  #persisted: Lsn = 0x1000n;
  #nextXid = 700;
  #clock = 0;
  #values = 0;
  session: Session | null = null;
  #disk: Disk | null = null;
  /** The commits of every past that the server has had. */
  readonly pasts: Commit[][] = [];
  /** Whether it was turned back, or lost its slot. */
  broken = false;

  constructor(random: (below: number) => number) {
    this.#random = random;
    this.sendsEmpty = random(2) === 0;
  }

  commit(empty: boolean): void {
    const large = this.#random(5) === 0;
    const events = Array.from({ length: empty ? 0 : 1 + this.#random(large ? 14 : 3) }, () => ({
      table: this.#random(2),
      value: String(this.#values++),
    }));
    const commitLsn = this.lsn + BigInt(8 * this.#random(2));
    const endLsn = commitLsn + 8n;
    this.#clock += 1;
    this.commits.push({ xid: this.#nextXid++, commitLsn, endLsn, ms: this.#clock, events });
    this.lsn = endLsn;
  }

  /** Another database writes WAL. */
  foreign(): void {
    this.lsn += BigInt(8 * (1 + this.#random(4)));
  }

  /** @returns null while another session holds the slot */
  open(handler: SlotStreamHandler): Session | null {
    if (this.session) return null;
    this.session = new Session(this, handler);
    return this.session;
  }

  endSession(): void {
    if (this.session) this.session.ended = true;
    this.session = null;
  }

  confirm(lsn: Lsn): void {
    this.confirmed = lsn;
    if (this.#random(3) === 0) this.#persisted = lsn;
  }

  crash(): void {
    this.endSession();
    this.confirmed = this.#persisted;
  }

  copyDisk(): void {
    this.#disk = {
      commits: [...this.commits],
      lsn: this.lsn,
      nextXid: this.#nextXid,
      confirmed: this.#persisted,
    };
  }

  /** The copy is put back: same identifier, timeline and slot, and then another future. */
  restore(): void {
    if (!this.#disk) return;
    this.endSession();
    this.pasts.push(this.commits);
    this.commits = [...this.#disk.commits];
    this.lsn = this.#disk.lsn;
    this.#nextXid = this.#disk.nextXid;
    this.confirmed = this.#disk.confirmed;
    this.#persisted = this.#disk.confirmed;
    this.#disk = null;
    this.broken = true;
  }

  /** The slot is dropped, and made anew at the end of the WAL. */
  remakeSlot(): void {
    this.endSession();
    this.confirmed = this.lsn;
    this.#persisted = this.lsn;
    this.broken = true;
  }
}
