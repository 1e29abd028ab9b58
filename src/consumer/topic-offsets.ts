import type { Kafka } from 'kafkajs';
import { deleteGroups } from '../kafka/admin.ts';
import { patiently } from '../kafka/patience.ts';

/** First and next offset of a topic's one partition. */
export interface TopicRange {
  low: bigint;
  high: bigint;
}

export async function readTopicRanges(kafka: Kafka, topics: readonly string[]): Promise<Map<string, TopicRange>> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const ranges = await Promise.all(
      topics.map(async (topic): Promise<[string, TopicRange]> => {
        const partitions = await patiently(() => admin.fetchTopicOffsets(topic));
        if (partitions.length !== 1)
          throw new Error(`topic ${topic} has ${partitions.length} partitions instead of one`);
        return [topic, { low: BigInt(partitions[0]!.low), high: BigInt(partitions[0]!.high) }];
      }),
    );
    return new Map(ranges);
  } finally {
    await admin.disconnect();
  }
}

/**
 * Why reading cannot go on at these offsets, or null. A topic that ends below is another one than it was, and kafkajs
 * would go to some other place in it without a word. Where messages are missing at its beginning, only commit markers may
 * be lost: the merge's seq and counts show that.
 */
export function unreachable(
  offsets: ReadonlyMap<string, bigint>,
  ranges: ReadonlyMap<string, TopicRange>,
): string | null {
  for (const [topic, { high }] of ranges) {
    const offset = offsets.get(topic) ?? 0n;
    if (offset > high) return `topic ${topic} ends at offset ${high}, before the position ${offset}: it was made anew`;
  }
  return null;
}

/** Each token reads in a group of its own; those of earlier tokens are deleted. */
export function groupOf(prefix: string, connector: string, token: string): string {
  return `${prefix}.${connector}.${token}`;
}

export async function deleteOlderGroups(kafka: Kafka, prefix: string, connector: string, token: string): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  let old: string[];
  try {
    const { groups } = await admin.listGroups();
    const head = `${prefix}.${connector}.`;
    old = groups
      .map(({ groupId }) => groupId)
      .filter((id) => id.startsWith(head) && /^\d+$/.test(id.slice(head.length)))
      .filter((id) => BigInt(id.slice(head.length)) < BigInt(token));
  } finally {
    await admin.disconnect();
  }
  await deleteGroups(kafka, old);
}
