import type { Lsn } from '../postgres/lsn.ts';
import type { Position } from './position.ts';

/** While idle, the position moves on over foreign WAL this often, or after this much of it. */
const IDLE_POSITION_MS = 2_000;
const IDLE_POSITION_BYTES = 16n * 1024n * 1024n;

/**
 * Decides what the server may be told to be safe, and when the position moves on while nothing comes. Pure: the time is
 * given to it. The server discards what lies below a confirmed LSN, so that nothing is confirmed which a finished Kafka
 * transaction does not hold.
 */
export class Acknowledgement {
  #known: Lsn = 0n;
  #committed: Lsn = 0n;
  #idleSince = 0;

  /** The slot's own position, before ours is read: telling the server less would turn the slot back. */
  known(slotPosition: Lsn): void {
    this.#known = slotPosition;
  }

  /** The position from which the stream goes on. */
  resumed(position: Position, nowMs: number): void {
    this.committed(position);
    this.#idleSince = nowMs;
  }

  /** A Kafka transaction with this position has finished. */
  committed({ end_lsn }: Position): void {
    this.#committed = end_lsn;
  }

  /**
   * What may be confirmed, exclusively; 0 while nothing is known.
   * @param isContinuous whether the stream has been found to continue what Kafka holds. Before, a confirmation would
   * discard the very transactions that show a broken history to the next start.
   */
  confirmed(isContinuous: boolean): Lsn {
    return isContinuous ? this.#committed : this.#known;
  }

  /**
   * Whether the position is to be written again because the stream has passed WAL that holds nothing of ours.
   * @param idle whether all that came is handled and in Kafka
   */
  isPositionDue(idle: boolean, passed: Lsn, nowMs: number): boolean {
    if (!idle) this.#idleSince = nowMs;
    const ahead = passed - this.#committed;
    if (!idle || ahead <= 0n) return false;
    if (ahead < IDLE_POSITION_BYTES && nowMs - this.#idleSince < IDLE_POSITION_MS) return false;
    this.#idleSince = nowMs;
    return true;
  }
}
