/** What an object of one message costs beside its bytes; measured roughly, so that many small messages count too. */
const OVERHEAD_BYTES = 256;

/**
 * The messages of one topic that have been read but not merged yet, oldest first. Limited by bytes; `least` messages
 * always fit, so that a message larger than the limit gets through.
 */
export class MergeQueue<T extends { bytes: number; offset: string }> {
  readonly topic: string;
  readonly #limit: number;
  readonly #least: number;
  #items: T[] = [];
  #first = 0;
  #bytes = 0;
  #full = false;
  readonly #start: bigint;
  #last: string | null = null;

  constructor(topic: string, start: bigint, limit: number, least: number) {
    this.topic = topic;
    this.#start = start;
    this.#limit = limit;
    this.#least = least;
  }

  get length(): number {
    return this.#items.length - this.#first;
  }

  /** Offset of the next message to be merged: what a checkpoint at this moment has to hold. */
  get next(): bigint {
    return this.#last === null ? this.#start : BigInt(this.#last) + 1n;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether another message may be added; once false, `resumable` tells when it is worth reading on. */
  hasRoom(): boolean {
    if (this.length < this.#least || this.#bytes < this.#limit) return true;
    this.#full = true;
    return false;
  }

  /** True once after the queue was full and has been drained to half of its limit. */
  resumable(): boolean {
    if (!this.#full || (this.length >= this.#least && this.#bytes > this.#limit / 2)) return false;
    this.#full = false;
    return true;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#bytes += item.bytes + OVERHEAD_BYTES;
  }

  peek(ahead = 0): T | undefined {
    return this.#items[this.#first + ahead];
  }

  shift(): T {
    const item = this.#items[this.#first]!;
    this.#first += 1;
    this.#bytes -= item.bytes + OVERHEAD_BYTES;
    this.#last = item.offset;
    if (this.#first >= 1024 && this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }
}
