import { randomUUID } from 'node:crypto';
import type { Kafka, KafkaMessage } from 'kafkajs';
import { deleteGroups } from './admin.ts';
import { patiently } from './patience.ts';

/**
 * A broker that has just started is still loading its coordinator; then, and only then, the client starts again by
 * itself. It forgets where to begin when it does, so that what lies below is dropped by the readers here.
 */
const RETRY = {
  initialRetryTime: 50,
  retries: 6,
  restartOnFailure: async (error: Error): Promise<boolean> => isLoading(error),
};

function isLoading(error: Error): boolean {
  return error.message.includes('coordinator is loading');
}

export interface SingleReader {
  /** Fetches no more for now; what was fetched already still comes. */
  pause(): void;
  resume(): void;
  /** Ends reading; resolves when the client is closed. */
  stop(): Promise<void>;
}

/**
 * Reads one topic (one partition) from an offset on, committed transactions only. kafkajs knows no reading without a
 * group, so each reader has one of its own, which is deleted at its end. A topic that ends before the offset was made
 * anew: it is read from its beginning; one that is made anew meanwhile ends the reader.
 * @param onMessages called in order; what it throws, or the client's end, goes to `onError`, once
 */
export async function readTopic(options: {
  kafka: Kafka;
  topic: string;
  from: string;
  onMessages(messages: KafkaMessage[]): void;
  onError(error: unknown): void;
}): Promise<SingleReader> {
  const { kafka, topic } = options;
  const from = BigInt(options.from) > (await offsetsOf(kafka, topic)).high ? '0' : options.from;
  let next = BigInt(from);
  const groupId = `${topic}.reader.${randomUUID()}`;
  const consumer = kafka.consumer({
    groupId,
    readUncommitted: false,
    sessionTimeout: 30_000,
    maxWaitTimeInMs: 500,
    allowAutoTopicCreation: false,
    retry: RETRY,
  });
  let failed = false;
  const fail = (error: unknown): void => {
    if (failed) return;
    failed = true;
    options.onError(error);
  };
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) fail(payload.error);
  });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const running = consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      if (failed) return;
      try {
        if (BigInt(batch.highWatermark) < next) throw new Error(`topic ${topic} was made anew`);
        next = BigInt(batch.lastOffset()) + 1n;
        // Below the start there is nothing of ours: a batch can begin earlier than the offset asked for.
        options.onMessages(batch.messages.filter((message) => BigInt(message.offset) >= BigInt(from)));
      } catch (error) {
        fail(error);
      }
    },
  });
  consumer.seek({ topic, partition: 0, offset: from });
  await running;
  return {
    pause: () => consumer.pause([{ topic }]),
    resume: () => consumer.resume([{ topic }]),
    async stop() {
      failed = true;
      await consumer.disconnect();
      await deleteGroups(kafka, [groupId]);
    },
  };
}

/**
 * The last committed record of a topic, or null where it has none. Reads back from the end in growing steps, since
 * commit markers and aborted records take offsets too.
 */
export async function lastRecord(kafka: Kafka, topic: string, timeoutMs: number): Promise<KafkaMessage | null> {
  const { low, high } = await offsetsOf(kafka, topic);
  for (let step = 20n; high > low; step *= 16n) {
    let from = high - step;
    if (from < low) from = low;
    const found = await lastIn(kafka, topic, from, high, timeoutMs);
    if (found || from === low) return found;
  }
  return null;
}

async function offsetsOf(kafka: Kafka, topic: string): Promise<{ low: bigint; high: bigint }> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const offsets = (await patiently(() => admin.fetchTopicOffsets(topic)))[0];
    if (!offsets) throw new Error(`topic ${topic} has no partition`);
    return { low: BigInt(offsets.low), high: BigInt(offsets.high) };
  } finally {
    await admin.disconnect();
  }
}

/** The last committed record in [from, high), found by reading until the end is reached. */
async function lastIn(
  kafka: Kafka,
  topic: string,
  from: bigint,
  high: bigint,
  timeoutMs: number,
): Promise<KafkaMessage | null> {
  const groupId = `${topic}.reader.${randomUUID()}`;
  const consumer = kafka.consumer({
    groupId,
    readUncommitted: false,
    maxWaitTimeInMs: 50,
    allowAutoTopicCreation: false,
    retry: RETRY,
  });
  const { promise, resolve, reject } = Promise.withResolvers<KafkaMessage | null>();
  // It may be late before anybody waits.
  promise.catch(() => undefined);
  const timer = setTimeout(
    () => reject(new Error(`the end of ${topic} was not reached in ${timeoutMs} ms: is a transaction hanging?`)),
    timeoutMs,
  );
  let last: KafkaMessage | null = null;
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (!payload.restart) reject(payload.error);
  });
  // Batches of nothing but markers never reach the handler; this event tells how far they reach.
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    if (BigInt(payload.lastOffset) + 1n >= high) resolve(last);
  });
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    const running = consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        last = batch.messages.at(-1) ?? last;
      },
    });
    consumer.seek({ topic, partition: 0, offset: String(from) });
    await running;
    return await promise;
  } finally {
    clearTimeout(timer);
    await consumer.disconnect();
    await deleteGroups(kafka, [groupId]);
  }
}
