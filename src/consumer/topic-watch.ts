import { setTimeout as sleep } from 'node:timers/promises';
import type { Kafka } from 'kafkajs';
import { lastRecord } from '../kafka/single-reader.ts';
import type { Topics } from '../kafka/topics.ts';
import type { Logger } from '../logging/logger.ts';
import { decodePosition } from '../producer/position.ts';
import { BrokenHistory } from './broken-history.ts';
import { readTopicRanges, unreachable } from './topic-offsets.ts';

/** What the watch has to know of the merge. */
export interface WatchedMerge {
  offsets(): ReadonlyMap<string, bigint>;
  /** The last unit handed out whole. */
  readonly position: { history: number; seq: bigint } | null;
  /** The full snapshot that is waited for. */
  readonly awaited: string | null;
  readonly waitingRecords: number;
}

export interface TopicWatchOptions {
  kafka: Kafka;
  topics: Pick<Topics, 'transaction' | 'position'>;
  merge: WatchedMerge;
  log: Logger;
  signal: AbortSignal;
  /** The topic no longer holds what comes next. */
  onBroken(error: BrokenHistory): void;
}

const LOOK_MS = 5_000;
const POSITION_MS = 10_000;

/**
 * Looks now and then whether the transaction topic still holds what comes next. Where it was emptied, or made anew,
 * nothing may come that the merge could judge by, and the client goes to some other place in it without a word.
 * Resolves when the signal aborts, or once the topic is found broken.
 */
export async function watchTopic(options: TopicWatchOptions): Promise<void> {
  const { signal, log, onBroken } = options;
  let suspected: bigint | null = null;
  while (!signal.aborted) {
    await sleep(LOOK_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    try {
      suspected = await look(options, suspected);
    } catch (error) {
      if (error instanceof BrokenHistory) {
        onBroken(error);
        return;
      }
      // The reader tells of a broker that is gone.
      log.debug({ event: 'topics_not_seen', err: error }, 'the topics could not be looked at');
    }
  }
}

/**
 * One look. A beginning beyond our place is no loss where only commit markers lay between: the producer's own position
 * decides. What has not been read yet at one look has been at the next, or it is gone.
 * @param suspected the place that looked lost at the last look
 * @returns the place that looks lost now
 * @throws BrokenHistory
 */
async function look({ kafka, topics, merge }: TopicWatchOptions, suspected: bigint | null): Promise<bigint | null> {
  const topic = topics.transaction;
  const before = merge.offsets();
  const ranges = await readTopicRanges(kafka, [topic]);
  const remade = unreachable(before, ranges);
  if (remade !== null) throw new BrokenHistory(remade);
  const { low } = ranges.get(topic)!;
  const next = merge.offsets().get(topic) ?? 0n;
  if (low <= next || merge.waitingRecords > 0) return null;
  const lost = `${topic} begins at offset ${low}, beyond ${next}, which comes next`;
  if (merge.awaited !== null) {
    if (suspected !== next) return next;
    throw new BrokenHistory(`${lost}: the full snapshot may have been deleted before it was read`);
  }
  const record = await lastRecord(kafka, topics.position, POSITION_MS);
  if (!record?.value) return null;
  const { history, seq } = decodePosition(record.value.toString('utf8'));
  const ours = merge.position;
  if (ours === null || (history === ours.history && seq <= ours.seq)) return null;
  if (suspected !== next) return next;
  throw new BrokenHistory(`${lost}: messages were deleted before they were read (KAFKA_RETENTION)`);
}
