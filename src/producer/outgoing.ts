import type { Message } from 'kafkajs';
import type { Position } from './position.ts';

/** Room for record framing and headers in a request's limit. */
const FILL = 0.85;
/** Kafka's framing of one record, at most, and of the batch that it travels in (its documentation, "Record Batch"). */
const RECORD_OVERHEAD = 64;
const BATCH_OVERHEAD = 61;

/** Messages for one request to Kafka. */
export interface Piece {
  messages: Map<string, Message[]>;
  bytes: number;
  /** The position that holds once this piece and all before it are committed; null inside a transaction. */
  ends: Position | null;
}

interface Filling {
  messages: Map<string, Message[]>;
  topicBytes: Map<string, number>;
  bytes: number;
}

const empty = (): Filling => ({ messages: new Map(), topicBytes: new Map(), bytes: 0 });

/**
 * What waits for Kafka. Whole SIIRAyS transactions gather in one piece, which is what makes group commit; a transaction
 * that outgrows a request is cut into pieces that belong to one Kafka transaction. Pure: no clock, no I/O.
 */
export class Outgoing {
  readonly #messageLimit: number;
  readonly #topicLimit: number;
  readonly #pieceLimit: number;
  readonly #queue: Piece[] = [];
  #done = empty();
  #doneEnds: Position | null = null;
  #partial = empty();
  #streaming = false;
  #bytes = 0;

  /**
   * @param maxMessageBytes limit of one request's records of one partition
   * @param pieceBytes how much goes into one request over all topics
   */
  constructor(maxMessageBytes: number, pieceBytes: number) {
    this.#messageLimit = maxMessageBytes;
    this.#topicLimit = maxMessageBytes * FILL;
    this.#pieceLimit = pieceBytes;
  }

  /** Bytes that wait, over all pieces. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether nothing waits, not even the beginning of a transaction. */
  get isEmpty(): boolean {
    return this.#bytes === 0 && this.#queue.length === 0 && this.#doneEnds === null;
  }

  /**
   * Adds a message of the current transaction.
   * @throws RangeError for one that no request can carry
   */
  add(topic: string, message: Message): void {
    const size = (message.key?.length ?? 0) + (message.value?.length ?? 0) + RECORD_OVERHEAD + headerBytes(message);
    if (size + BATCH_OVERHEAD > this.#messageLimit) {
      throw new RangeError(
        `a row of ${topic} takes ${size} bytes as a message, more than KAFKA_MAX_MESSAGE_BYTES allows; raise it, and the topic's max.message.bytes`,
      );
    }
    const topicBytes = this.#partial.topicBytes.get(topic) ?? 0;
    if (
      this.#partial.bytes > 0 &&
      (topicBytes + size > this.#topicLimit || this.#partial.bytes + size > this.#pieceLimit)
    ) {
      this.#cutPartial();
    }
    append(this.#partial, topic, message, size);
    this.#bytes += size;
    // What fills a piece alone can go: else, with nothing else to take, the stream would wait for room for ever.
    if (this.#partial.bytes >= this.#pieceLimit) this.#cutPartial();
  }

  /** Ends the current transaction; `position` is what holds once it is in Kafka. */
  end(position: Position): void {
    if (this.#streaming) {
      this.#queue.push({ messages: this.#partial.messages, bytes: this.#partial.bytes, ends: position });
      this.#partial = empty();
      this.#streaming = false;
      return;
    }
    if (this.#doneEnds && !this.#fits()) this.#cutDone();
    if (this.#done.bytes === 0) {
      this.#done = this.#partial;
    } else {
      for (const [topic, messages] of this.#partial.messages) {
        const target = this.#done.messages.get(topic);
        if (target) for (const message of messages) target.push(message);
        else this.#done.messages.set(topic, messages);
        const bytes = (this.#done.topicBytes.get(topic) ?? 0) + (this.#partial.topicBytes.get(topic) ?? 0);
        this.#done.topicBytes.set(topic, bytes);
      }
      this.#done.bytes += this.#partial.bytes;
    }
    this.#doneEnds = position;
    this.#partial = empty();
  }

  /** Takes the next piece that may be sent now, or null. */
  take(): Piece | null {
    const piece = this.#queue.shift();
    if (piece) return piece;
    if (this.#doneEnds === null) return null;
    const done = { messages: this.#done.messages, bytes: this.#done.bytes, ends: this.#doneEnds };
    this.#done = empty();
    this.#doneEnds = null;
    return done;
  }

  /** Says that a taken piece is in Kafka, or at least sent: its bytes no longer count. */
  sent(piece: Piece): void {
    this.#bytes -= piece.bytes;
  }

  #fits(): boolean {
    if (this.#done.bytes + this.#partial.bytes > this.#pieceLimit) return false;
    for (const [topic, bytes] of this.#partial.topicBytes) {
      if (bytes + (this.#done.topicBytes.get(topic) ?? 0) > this.#topicLimit) return false;
    }
    return true;
  }

  #cutDone(): void {
    if (this.#doneEnds === null) return;
    this.#queue.push({ messages: this.#done.messages, bytes: this.#done.bytes, ends: this.#doneEnds });
    this.#done = empty();
    this.#doneEnds = null;
  }

  /** A large transaction: what was complete before it goes first, in a Kafka transaction of its own. */
  #cutPartial(): void {
    this.#cutDone();
    this.#queue.push({ messages: this.#partial.messages, bytes: this.#partial.bytes, ends: null });
    this.#partial = empty();
    this.#streaming = true;
  }
}

function append(filling: Filling, topic: string, message: Message, size: number): void {
  const messages = filling.messages.get(topic);
  if (messages) messages.push(message);
  else filling.messages.set(topic, [message]);
  filling.topicBytes.set(topic, (filling.topicBytes.get(topic) ?? 0) + size);
  filling.bytes += size;
}

function headerBytes(message: Message): number {
  let bytes = 0;
  for (const name in message.headers) bytes += name.length + (message.headers[name]?.length ?? 0) + 4;
  return bytes;
}
