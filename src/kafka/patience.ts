import { setTimeout as sleep } from 'node:timers/promises';
import type { Kafka } from 'kafkajs';

/** Answers of a broker that has just started, or just made a topic, which pass by themselves. */
const NOT_YET = new Set([
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'GROUP_LOAD_IN_PROGRESS',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
]);
const RETRY_MS = 50;
const PATIENCE_MS = 15_000;

/**
 * Asks again as long as the broker says that it is not ready yet, at most for 15 s: the admin client passes these answers
 * on at once. @throws the last answer; any other error at once
 */
export async function patiently<T>(ask: () => Promise<T>, patienceMs: number = PATIENCE_MS): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!NOT_YET.has((error as { type?: string }).type ?? '') || performance.now() > deadline) throw error;
      await sleep(RETRY_MS);
    }
  }
}

/** Waits until a group's coordinator answers: a broker that has just started is still loading it. */
export async function awaitCoordinator(kafka: Kafka, groupId: string, topic: string): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    await patiently(() => admin.fetchOffsets({ groupId, topics: [topic] }));
  } finally {
    await admin.disconnect();
  }
}
