import type { Kafka } from 'kafkajs';
import type { KafkaConfig } from '../config/types.ts';
import type { Topics } from './topics.ts';

/**
 * Creates the topics that are missing, all with one partition: order within a topic is commit order.
 * Event topics are kept by time, not compacted, since transactions' counts must stay true; the position topic is
 * compacted.
 */
export async function ensureTopics(
  kafka: Kafka,
  config: KafkaConfig,
  topics: Topics,
  tables: string[],
): Promise<string[]> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const wanted = [topics.transaction, topics.signal, topics.deadLetters, topics.position, ...tables];
    const present = new Set(await admin.listTopics());
    const missing = wanted.filter((topic) => !present.has(topic));
    if (missing.length > 0) {
      await admin.createTopics({
        waitForLeaders: true,
        topics: missing.map((topic) => ({
          topic,
          numPartitions: 1,
          replicationFactor: config.replicationFactor,
          configEntries: Object.entries(topic === topics.position ? compacted(config) : kept(config)).map(
            ([name, value]) => ({
              name,
              value,
            }),
          ),
        })),
      });
    }
    return missing;
  } finally {
    await admin.disconnect();
  }
}

/**
 * Records bear the broker's time. With the sender's, a broker refuses what comes from a clock an hour ahead of its own
 * (message.timestamp.after.max.ms, KIP-937), for ever, and retention deletes at once what comes from one far behind.
 */
const BROKER_CLOCK = { 'message.timestamp.type': 'LogAppendTime' };

function kept(config: KafkaConfig): Record<string, string> {
  return {
    'cleanup.policy': 'delete',
    'retention.ms': String(config.retentionMs),
    'retention.bytes': '-1',
    'max.message.bytes': String(config.maxMessageBytes),
    ...BROKER_CLOCK,
  };
}

/**
 * Small segments, so that the one live record is never far from the end. A position can hold a whole request, and so be
 * larger than any message.
 */
function compacted(config: KafkaConfig): Record<string, string> {
  return {
    'cleanup.policy': 'compact',
    'max.message.bytes': String(2 * config.maxMessageBytes),
    'segment.bytes': String(Math.max(1_048_576, 4 * config.maxMessageBytes)),
    'segment.ms': '3600000',
    'min.cleanable.dirty.ratio': '0.1',
    ...BROKER_CLOCK,
  };
}

/** Deletes consumer groups of former readers; those that are gone or still in use are passed over. */
export async function deleteGroups(kafka: Kafka, groupIds: string[]): Promise<void> {
  if (groupIds.length === 0) return;
  const admin = kafka.admin();
  await admin.connect();
  try {
    await admin.deleteGroups(groupIds);
  } catch (error) {
    // A group that still has a member, or that another deleted first, is no concern of ours.
    if (!(error instanceof Error) || error.name !== 'KafkaJSDeleteGroupsError') throw error;
  } finally {
    await admin.disconnect();
  }
}
