import { sees, widenXid, type XidSnapshot } from './xid-snapshot.ts';

/**
 * Transactions that the stream has delivered and that a later snapshot may still not see: a commit is streamed before it
 * becomes visible, with a waiting synchronous standby for as long as one likes.
 */
export class DeliveredXids {
  readonly #xids = new Set<number>();

  get size(): number {
    return this.#xids.size;
  }

  /** Those of now, whatever comes later. */
  copy(): DeliveredXids {
    const copy = new DeliveredXids();
    for (const xid of this.#xids) copy.#xids.add(xid);
    return copy;
  }

  add(xid: number): void {
    this.#xids.add(xid);
  }

  /** Whether one of them is invisible to the snapshot. */
  anyUnseen(snapshot: XidSnapshot): boolean {
    for (const xid of this.#xids) if (!sees(snapshot, xid)) return true;
    return false;
  }

  /** Forgets those below a snapshot's xmin: every later snapshot sees them. */
  forgetBelow(xmin: bigint): void {
    for (const xid of this.#xids) if (widenXid(xid, xmin) < xmin) this.#xids.delete(xid);
  }
}
