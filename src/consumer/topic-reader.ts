import type { Batch, Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import type { EventDecoder } from '../kafka/change-event.ts';
import { awaitCoordinator } from '../kafka/patience.ts';
import { decodeTransactionRecord } from '../kafka/transaction-record.ts';
import type { Merge } from './merge.ts';

export interface TopicReaderOptions {
  kafka: Kafka;
  groupId: string;
  /** The transaction topic and all table topics; each has one partition. */
  topics: readonly string[];
  transactionTopic: string;
  /** Where to start, exactly. */
  offsets: ReadonlyMap<string, bigint>;
  decoder: EventDecoder;
  merge: Merge;
  /** Limit of one fetch per topic; at least the largest record batch. */
  maxBytesPerTopic: number;
  /** Something was put into the merge. */
  onArrival(): void;
  /** The group's coordinator has answered: reading goes on. */
  onSign(): void;
  /** Reading has ended; called once. */
  onError(error: unknown): void;
}

export interface TopicReader {
  /** Reads topics on for which the merge had no room. */
  resume(topics: readonly string[]): void;
  /** Messages in the transaction topic that are not read yet, as the last fetch told. */
  behind(): number;
  stop(): Promise<void>;
}

/** A fetch waits so long for a message; a topic that is resumed meanwhile waits as long. */
const FETCH_WAIT_MS = 100;
const STOP_MS = 3_000;
/** The client says that it has stopped before it says why. */
const WHY_MS = 500;

/**
 * Reads all topics of a connector into the merge. kafkajs 2.2.4 as its source has it:
 * - All handlers of one fetch are awaited before the next fetch: a handler never waits for room. It takes what fits,
 *   resolves just that, pauses its partition and returns; the rest is fetched again later.
 * - `seek` works between run() and the first fetch only if it is called before run() has joined the group, that is
 *   without awaiting it. Without auto-commit it sets the position alone.
 * - Joining the group again, and a fetch outside of a partition's offsets, set positions anew without a word. Both end
 *   the reader here: the pipeline starts again from the stored offsets.
 * - Control records are not delivered, so that a gap between offsets proves nothing; lost messages show in the merge.
 */
export async function startTopicReader(options: TopicReaderOptions): Promise<TopicReader> {
  const { kafka, topics, merge, transactionTopic, decoder } = options;
  const consumer = kafka.consumer({
    groupId: options.groupId,
    readUncommitted: false,
    allowAutoTopicCreation: false,
    minBytes: 1,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    maxBytesPerPartition: options.maxBytesPerTopic,
    maxBytes: Math.max(10 * 1024 * 1024, options.maxBytesPerTopic),
    heartbeatInterval: 3_000,
    retry: { initialRetryTime: 50, retries: 6, restartOnFailure: async () => false },
  });
  const expected = new Map(topics.map((topic) => [topic, Number(options.offsets.get(topic) ?? 0n)]));
  let behind = 0;
  let cut = false;
  let ended = false;
  const fail = (error: unknown): void => {
    if (ended) return;
    ended = true;
    options.onError(error);
  };
  failOnTrouble(consumer, fail);
  consumer.on(consumer.events.HEARTBEAT, () => options.onSign());
  // Comes behind each batch, those of nothing but commit markers and aborted records included: they are not waited for.
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    if (payload.topic !== transactionTopic || cut) return;
    behind = Number(payload.highWatermark) - 1 - Number(payload.lastOffset);
  });

  /** Puts messages into the merge as long as there is room; gives the offset of the last one taken. */
  async function take({ topic, messages }: Batch): Promise<{ last: string | null; all: boolean }> {
    let last: string | null = null;
    for (const message of messages) {
      if (!merge.hasRoom(topic)) return { last, all: false };
      if (topic === transactionTopic) {
        const value = message.value!;
        merge.offerRecord({ record: decodeTransactionRecord(value), offset: message.offset, bytes: value.length });
      } else {
        const decoded = decoder.decode(topic, message);
        merge.offerEvent(topic, decoded instanceof Promise ? await decoded : decoded);
      }
      last = message.offset;
    }
    return { last, all: true };
  }

  async function eachBatch({ batch, resolveOffset, pause }: EachBatchPayload): Promise<void> {
    if (ended) return;
    const { topic } = batch;
    const first = Number(batch.messages[0]!.offset);
    if (first < expected.get(topic)!) {
      fail(new Error(`${topic} was read from offset ${first}, below the position ${expected.get(topic)}`));
      return;
    }
    try {
      const { last, all } = await take(batch);
      if (!all) pause();
      if (topic === transactionTopic) {
        cut = !all;
        behind = Number(batch.highWatermark) - 1 - Number(last ?? first - 1);
      }
      if (last === null) return;
      expected.set(topic, Number(last) + 1);
      resolveOffset(last);
      options.onArrival();
    } catch (error) {
      fail(error);
    }
  }

  await awaitCoordinator(kafka, options.groupId, transactionTopic);
  await consumer.connect();
  await consumer.subscribe({ topics: [...topics], fromBeginning: true });
  const running = consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    partitionsConsumedConcurrently: topics.length,
    eachBatch,
  });
  for (const [topic, offset] of expected) consumer.seek({ topic, partition: 0, offset: String(offset) });
  await running;
  return {
    resume: (resumed) => {
      if (!ended && resumed.length > 0) consumer.resume(resumed.map((topic) => ({ topic, partitions: [0] })));
    },
    behind: () => behind,
    async stop() {
      ended = true;
      // A broker that is gone would be waited for; whatever is left then ends with the process.
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, STOP_MS);
      await Promise.race([consumer.disconnect(), late]).finally(() => clearTimeout(timer));
    },
  };
}

function failOnTrouble(consumer: Consumer, fail: (error: unknown) => void): void {
  let joined = 0;
  consumer.on(consumer.events.GROUP_JOIN, () => {
    joined += 1;
    if (joined > 1) fail(new Error('the Kafka group was joined again, which loses the positions'));
  });
  consumer.on(consumer.events.CRASH, ({ payload }) => fail(payload.error));
  consumer.on(consumer.events.STOP, () => {
    setTimeout(() => fail(new Error('the Kafka consumer has stopped')), WHY_MS).unref();
  });
}
