import { AssertionError } from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type EachBatchPayload, Kafka, logLevel } from 'kafkajs';
import { until } from './until.ts';

export type Batch = EachBatchPayload['batch'];

/**
 * Hands over topics from their beginning to the ends that they have now, read_committed, as any team would read them.
 * @param check called while the ends are waited for: may throw what went wrong so far
 * @throws where an end is not reached in time; it says how far each topic was read
 */
export async function readWholeTopics(
  broker: string,
  topics: readonly string[],
  onBatch: (batch: Batch) => Promise<void>,
  { withinMs = 30_000, check = () => {} }: { withinMs?: number; check?: () => void } = {},
): Promise<void> {
  const kafka = new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING });
  const ends = await endsOf(kafka, topics);
  const reached = new Map<string, bigint>();
  const consumer = kafka.consumer({ groupId: `whole.${randomUUID()}`, readUncommitted: false, maxWaitTimeInMs: 50 });
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    reached.set(payload.topic, BigInt(payload.lastOffset) + 1n);
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [...topics], fromBeginning: true });
  await consumer.run({ autoCommit: false, eachBatch: ({ batch }) => onBatch(batch) });
  const behind = () => [...ends].filter(([name, end]) => (reached.get(name) ?? 0n) < end);
  const atEnds = (): boolean => {
    check();
    return behind().length === 0;
  };
  try {
    await until(atEnds, 'the ends of the topics', withinMs);
  } catch (error) {
    const left = behind().map(([name, end]) => `${name} at ${reached.get(name)} of ${end}`);
    if (error instanceof AssertionError) error.message += `: ${left}`;
    throw error;
  } finally {
    await consumer.disconnect();
  }
}

/** Where the topics end; those that are empty are left out. */
async function endsOf(kafka: Kafka, topics: readonly string[]): Promise<Map<string, bigint>> {
  const admin = kafka.admin();
  await admin.connect();
  const ends = new Map<string, bigint>();
  for (const name of topics) {
    const [partition] = await admin.fetchTopicOffsets(name);
    if (BigInt(partition!.high) > 0n) ends.set(name, BigInt(partition!.high));
  }
  await admin.disconnect();
  return ends;
}
