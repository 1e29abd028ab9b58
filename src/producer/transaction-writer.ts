import type { Kafka, Message, Producer, TopicMessages, Transaction } from 'kafkajs';
import { ClearableSignal } from './clearable-signal.ts';
import type { Outgoing } from './outgoing.ts';
import { encodePosition, type Position } from './position.ts';

export interface WriterOptions {
  kafka: Kafka;
  /** Prefix of the two transactional ids; they must stay the same for ever, see `fence`. */
  transactionalIdPrefix: string;
  transactionTimeoutMs: number;
  positionTopic: string;
}

/** What a finished Kafka transaction took. */
export interface CommittedFigures {
  bytes: number;
  messages: number;
  ms: number;
}

/** Waiting times when the coordinator is still busy with the last transaction: short, since it is done in milliseconds. */
const RETRY = { initialRetryTime: 3, maxRetryTime: 500, retries: 8, multiplier: 1.6, factor: 0.1 };

/**
 * Writes to Kafka in transactions, one after the other. Two transactional ids take turns, since a transaction that is
 * begun right after another on the same id finds the coordinator still at work (kafkajs issues 304 and 1315).
 */
export class TransactionWriter {
  readonly #options: WriterOptions;
  readonly #producers: Producer[];
  readonly #outgoing: Outgoing;
  readonly #wake = new ClearableSignal();
  #turn = 0;
  #stopped = false;
  #idle = true;

  constructor(options: WriterOptions, outgoing: Outgoing) {
    this.#options = options;
    this.#outgoing = outgoing;
    this.#producers = ['a', 'b'].map((suffix) =>
      options.kafka.producer({
        transactionalId: `${options.transactionalIdPrefix}.${suffix}`,
        transactionTimeout: options.transactionTimeoutMs,
        idempotent: true,
        maxInFlightRequests: 1,
        allowAutoTopicCreation: false,
        createPartitioner: () => () => 0,
        retry: RETRY,
      }),
    );
  }

  /**
   * Shuts out every older producer: InitProducerId aborts its open transaction and raises the epoch, on both ids
   * (KIP-98). Connecting alone does not. The ids stay the same, since with new ones a dead producer's open transaction
   * would hide all that comes after it from read_committed readers until it times out.
   */
  async fence(): Promise<void> {
    for (const producer of this.#producers) {
      await producer.connect();
      await (await producer.transaction()).abort();
    }
  }

  /** Says that `outgoing` has something to take. */
  wake(): void {
    this.#wake.set();
  }

  /** Whether nothing is being written. */
  get isIdle(): boolean {
    return this.#idle && this.#outgoing.isEmpty;
  }

  /**
   * Writes until `stop`. `onSent` is called after each request, `onCommitted` after each finished Kafka transaction, with
   * its position and how long it took.
   * Any error ends it: a commit that failed may have succeeded all the same, and a late one could end the next
   * transaction, so that only new client objects and a new look at the position are safe.
   */
  async run(onSent: () => void, onCommitted: (position: Position, figures: CommittedFigures) => void): Promise<void> {
    let transaction: Transaction | null = null;
    let began = 0;
    let bytes = 0;
    let count = 0;
    const part = (work: Promise<void>): Promise<void> => work.catch((error) => this.#explain(error, began));
    while (!this.#stopped) {
      const piece = this.#outgoing.take();
      if (!piece) {
        this.#idle = transaction === null;
        await this.#wake.wait();
        continue;
      }
      this.#idle = false;
      if (!transaction) {
        began = performance.now();
        bytes = 0;
        count = 0;
        transaction = await this.#producers[this.#turn]!.transaction();
        this.#turn = 1 - this.#turn;
      }
      const topicMessages = [...piece.messages].map(([topic, messages]) => onePartition(topic, messages));
      if (piece.ends) topicMessages.push(this.#positionMessage(piece.ends));
      await part(transaction.sendBatch({ topicMessages, acks: -1 }).then(() => undefined));
      this.#outgoing.sent(piece);
      onSent();
      bytes += piece.bytes;
      for (const { messages } of topicMessages) count += messages.length;
      if (!piece.ends) continue;
      await part(transaction.commit());
      transaction = null;
      this.#idle = true;
      onCommitted(piece.ends, { bytes, messages: count, ms: performance.now() - began });
    }
    // What is open is not committed: the next start reads the position and takes it again from the slot.
    if (transaction) await transaction.abort();
  }

  /** The coordinator aborts what takes too long, and tells so only by refusing what comes next. */
  #explain(error: unknown, began: number): never {
    const ms = Math.round(performance.now() - began);
    if (ms < this.#options.transactionTimeoutMs) throw error;
    throw new Error(
      `a Kafka transaction was not finished in ${ms} ms, longer than KAFKA_TRANSACTION_TIMEOUT (${this.#options.transactionTimeoutMs} ms) allows; a SIIRAyS transaction that is so large needs a longer one (at most the broker's transaction.max.timeout.ms)`,
      { cause: error },
    );
  }

  /** Ends `run` after the request under way. */
  stop(): void {
    this.#stopped = true;
    this.#wake.set();
  }

  async close(): Promise<void> {
    await Promise.all(this.#producers.map((producer) => producer.disconnect()));
  }

  #positionMessage(position: Position): TopicMessages {
    return { topic: this.#options.positionTopic, messages: [{ key: 'position', value: encodePosition(position) }] };
  }
}

/**
 * All messages go to partition 0. kafkajs groups a request's messages by copying the list once per message; giving the
 * list a `reduce` of its own saves that quadratic work.
 */
function onePartition(topic: string, messages: Message[]): TopicMessages {
  const grouped = [...messages];
  Object.defineProperty(grouped, 'reduce', { value: () => ({ 0: messages }) });
  return { topic, messages: grouped };
}
