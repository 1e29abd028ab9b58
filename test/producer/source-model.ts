import type { XidSnapshot } from '../../src/producer/xid-snapshot.ts';
import * as message from './pgoutput-messages.ts';

/** Random numbers of a seed (mulberry32), so that a failing schedule can be run again. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** id is the key where the table has one; big may be TOASTed (it then begins with T), so that updates leave it out. */
export interface Row {
  id: string;
  big: string;
  small: string;
}

interface Change {
  op: 'c' | 'u' | 'd' | 't';
  /** Which row, whatever its key is at the moment. */
  row: number;
  before: Row | null;
  after: Row | null;
}

export interface Transaction {
  xid: bigint;
  changes: Change[];
  visible: boolean;
  commitLsn: bigint;
  endLsn: bigint;
}

export const OID = 4711;
const KEYS = 7;

/**
 * One table of SIIRAyS and its transactions, with what makes placing a chunk hard: a commit is in the WAL, and so may be
 * streamed, before snapshots see it; transaction ids are given at the beginning and wrap; writers hold locks until they
 * are visible.
 */
export class SourceModel {
  readonly keyed: boolean;
  readonly #random: (below: number) => number;
  readonly #initial = new Map<number, Row>();
  /** Begun, neither committed nor rolled back. */
  readonly #open: Transaction[] = [];
  /** In the order of their commits. */
  readonly commits: Transaction[] = [];
  #nextXid: bigint;
  #latestEnded: bigint;
  #nextRow = 0;
  lsn = 0x1000n;
  /** Whether somebody reads the table, so that TRUNCATE waits. */
  reading = false;

  constructor(random: (below: number) => number, keyed: boolean) {
    this.#random = random;
    this.keyed = keyed;
    this.#nextXid = random(2) === 0 ? 700n : 0x2_ffff_fff8n;
    this.#latestEnded = this.#nextXid - 1n;
    for (let i = random(6); i > 0; i--) {
      const id = this.#freeKey(this.#initial, new Set());
      if (id !== null) this.#initial.set(this.#nextRow++, this.#row(id));
    }
  }

  #invisible(): Transaction[] {
    return [...this.#open, ...this.commits.filter((transaction) => !transaction.visible)];
  }

  begin(): void {
    const others = this.#invisible().flatMap((transaction) => transaction.changes);
    if (this.#open.length > 2 || others.some(({ op }) => op === 't')) return;
    const locked = new Set(others.map(({ row }) => row));
    const taken = new Set(others.flatMap(({ before, after }) => [before?.id, after?.id]));
    const own = this.visible();
    const changes: Change[] = [];
    for (let i = this.#random(5); i > 0; i--) {
      const change = this.#change(own, locked, taken, others.length === 0 && this.#invisible().length === 0);
      if (!change) continue;
      apply(own, change);
      changes.push(change);
    }
    this.#open.push({ xid: this.#nextXid++, changes, visible: false, commitLsn: 0n, endLsn: 0n });
  }

  #change(own: Map<number, Row>, locked: Set<number>, taken: Set<string | undefined>, alone: boolean): Change | null {
    const kind = this.#random(12);
    if (kind === 0 && alone && !this.reading) return { op: 't', row: -1, before: null, after: null };
    if (kind < 4) {
      const id = this.#freeKey(own, taken);
      return id === null ? null : { op: 'c', row: this.#nextRow++, before: null, after: this.#row(id) };
    }
    const free = [...own].filter(([row]) => !locked.has(row));
    const found = free[this.#random(Math.max(1, free.length))];
    if (!found) return null;
    const [row, before] = found;
    if (kind < 6) return { op: 'd', row, before, after: null };
    const moved = this.#random(3) === 0 ? this.#freeKey(own, taken) : null;
    const next = this.#row(moved ?? before.id);
    return { op: 'u', row, before, after: this.#random(3) > 0 ? { ...next, big: before.big } : next };
  }

  #freeKey(rows: Map<number, Row>, taken: Set<string | undefined>): string | null {
    const id = String(this.#random(KEYS));
    if (!this.keyed) return id;
    return taken.has(id) || [...rows.values()].some((row) => row.id === id) ? null : id;
  }

  #row(id: string): Row {
    return { id, big: `${this.#random(2) === 0 ? 'T' : 'm'}${this.#random(3)}`, small: String(this.#random(3)) };
  }

  commit(): void {
    const [transaction] = this.#open.splice(this.#random(Math.max(1, this.#open.length)), 1);
    if (!transaction) return;
    transaction.commitLsn = this.lsn;
    transaction.endLsn = this.lsn + 8n;
    this.lsn = transaction.endLsn + BigInt(8 * this.#random(2));
    this.commits.push(transaction);
  }

  rollBack(): void {
    const [transaction] = this.#open.splice(this.#random(Math.max(1, this.#open.length)), 1);
    if (transaction) this.#ended(transaction);
  }

  show(): void {
    const hidden = this.commits.filter((transaction) => !transaction.visible);
    const transaction = hidden[this.#random(Math.max(1, hidden.length))];
    if (!transaction) return;
    transaction.visible = true;
    this.#ended(transaction);
  }

  #ended({ xid }: Transaction): void {
    if (xid > this.#latestEnded) this.#latestEnded = xid;
  }

  /** As PostgreSQL takes one: xmax lies behind the last transaction that has ended, open ones may lie beyond it. */
  snapshot(): XidSnapshot {
    const xmax = this.#latestEnded + 1n;
    let xmin = xmax;
    const inProgress = new Set<bigint>();
    for (const { xid } of this.#invisible()) {
      if (xid < xmax) inProgress.add(xid);
      if (xid < xmin) xmin = xid;
    }
    return { xmin, xmax, inProgress };
  }

  /** The rows for who reads the table now; null while a TRUNCATE holds its lock. */
  readable(): Row[] | null {
    const locked = this.#invisible().some(({ changes }) => changes.some(({ op }) => op === 't'));
    return locked ? null : [...this.visible().values()];
  }

  /** What a snapshot of now sees. */
  visible(): Map<number, Row> {
    return this.#replayed(this.commits.filter((transaction) => transaction.visible));
  }

  /** The table after the commits that end at or below the LSN. */
  at(lsn: bigint): Row[] {
    return [...this.#replayed(this.commits.filter(({ endLsn }) => endLsn <= lsn)).values()];
  }

  #replayed(transactions: Transaction[]): Map<number, Row> {
    const rows = new Map(this.#initial);
    for (const { changes } of transactions) for (const change of changes) apply(rows, change);
    return rows;
  }

  /** What the replication stream sends of a transaction, without descriptions of the table. */
  messages({ xid, commitLsn, endLsn, changes }: Transaction): Buffer[] {
    return [
      message.begin(Number(xid & 0xffff_ffffn), commitLsn),
      ...changes.map((change) => this.#message(change)),
      message.commit(commitLsn, endLsn),
    ];
  }

  #message({ op, before, after }: Change): Buffer {
    const identity = this.keyed ? 'K' : 'O';
    const old = before && (this.keyed ? [before.id, null, null] : [before.id, before.big, before.small]);
    if (op === 't') return message.truncate(OID);
    if (op === 'c') return message.insert(OID, [after!.id, after!.big, after!.small]);
    if (op === 'd') return message.remove(OID, old!, identity);
    const kept = after!.big === before!.big && after!.big.startsWith('T');
    const told = this.keyed && before!.id === after!.id ? null : old;
    return message.update(OID, told, [after!.id, kept ? undefined : after!.big, after!.small], identity);
  }
}

function apply(rows: Map<number, Row>, { op, row, after }: Change): void {
  if (op === 't') rows.clear();
  else if (op === 'd') rows.delete(row);
  else rows.set(row, after!);
}
