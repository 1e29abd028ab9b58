import { sees, type XidSnapshot } from './xid-snapshot.ts';

/**
 * Transactions that the stream has delivered and that a later snapshot may still not see: a commit is streamed before it
 * becomes visible, with a waiting synchronous standby for as long as one likes. What one snapshot has seen, every later
 * one sees, so that few are kept.
 */
export class DeliveredXids {
  readonly #xids: Set<number>;
  #newest: XidSnapshot | null = null;

  /** @param xids those that an earlier run of the producer has delivered */
  constructor(xids: Iterable<number> = []) {
    this.#xids = new Set(xids);
  }

  get size(): number {
    return this.#xids.size;
  }

  list(): number[] {
    return [...this.#xids];
  }

  /** Those of now, whatever comes later. */
  copy(): DeliveredXids {
    return new DeliveredXids(this.#xids);
  }

  add(xid: number): void {
    if (this.#newest && sees(this.#newest, xid)) return;
    this.#xids.add(xid);
  }

  /** Whether one of them is invisible to the snapshot. */
  anyUnseen(snapshot: XidSnapshot): boolean {
    for (const xid of this.#xids) if (!sees(snapshot, xid)) return true;
    return false;
  }

  /** Forgets those that a snapshot sees. */
  forgetSeen(snapshot: XidSnapshot): void {
    if (!this.#newest || snapshot.xmax > this.#newest.xmax) this.#newest = snapshot;
    for (const xid of this.#xids) if (sees(snapshot, xid)) this.#xids.delete(xid);
  }
}
