import assert from 'node:assert/strict';
import { TokenLost } from '../../../src/consumer/broken-history.ts';
import type { Lease } from '../../../src/consumer/take-over.ts';
import { BLOCKED } from '../network.ts';

/** A session that applies, as the server sees it. */
export interface ApplySession {
  token: bigint;
  ended: boolean;
}

/**
 * The checkpoint row with what PostgreSQL does to it, and nothing else: an UPDATE waits for the row's lock and judges its
 * WHERE afterwards (manual, 13.2.1), a transaction's changes are seen from its COMMIT on, a session that is ended rolls
 * back, and one that is idle in a transaction for too long is ended.
 */
export class CheckpointRow {
  readonly #idleMs: number;
  token = 0n;
  holder: string | null = null;
  renewals = 0n;
  /** Batches that were applied. */
  seq = 0;
  #lock: { session: ApplySession; since: number } | null = null;
  /** Who got each token. */
  readonly raised: string[] = [];

  constructor(idleMs: number) {
    this.#idleMs = idleMs;
  }

  read(): Lease {
    return { token: String(this.token), holder: this.holder, renewals: String(this.renewals) };
  }

  raise(seen: Lease, instanceId: string): string | null | typeof BLOCKED {
    if (this.#lock) return BLOCKED;
    const { token, holder, renewals } = this.read();
    if (seen.token !== token || seen.holder !== holder || seen.renewals !== renewals) return null;
    this.token += 1n;
    this.holder = instanceId;
    this.renewals = 0n;
    this.raised.push(instanceId);
    return String(this.token);
  }

  /** @param waited whether it has waited for as long as it may: then it only looks */
  renew(token: string, waited: boolean): { paused: boolean } | null | typeof BLOCKED {
    if (this.#lock && !waited) return BLOCKED;
    if (String(this.token) !== token) return null;
    if (!this.#lock) this.renewals += 1n;
    return { paused: false };
  }

  release(token: string): undefined | typeof BLOCKED {
    if (this.#lock) return BLOCKED;
    if (String(this.token) === token) this.holder = null;
    return undefined;
  }

  endOlderSessions(token: bigint): void {
    if (this.#lock && this.#lock.session.token < token) this.#end();
  }

  /** UPDATE checkpoint … WHERE token = mine, at the end of an apply transaction. */
  update(session: ApplySession, now: number): undefined | typeof BLOCKED {
    if (session.ended) throw new Error('the session was ended');
    if (this.#lock) return BLOCKED;
    if (this.token !== session.token) throw new TokenLost('no row');
    this.#lock = { session, since: now };
    return undefined;
  }

  /** COMMIT of a batch that goes on from `seq`. */
  commit(session: ApplySession, seq: number): void {
    if (session.ended) throw new Error('the session was ended');
    assert.equal(this.#lock?.session, session, 'PostgreSQL: the lock is held until COMMIT');
    assert.equal(this.seq, seq, `token ${session.token} writes what was made from another state`);
    this.seq += 1;
    this.renewals += 1n;
    this.#lock = null;
  }

  /** The server ends who is idle in a transaction for too long, and whose connection is gone. */
  look(now: number, gone: (session: ApplySession) => boolean): void {
    if (this.#lock && (now - this.#lock.since >= this.#idleMs || gone(this.#lock.session))) this.#end();
  }

  #end(): void {
    this.#lock!.session.ended = true;
    this.#lock = null;
  }
}
