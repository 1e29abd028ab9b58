import type { Kafka } from 'kafkajs';
import type pg from 'pg';
import type { TableRef } from '../connector/compiled.ts';
import { shapeOf } from '../kafka/avro-schema.ts';
import type { TableShape } from '../kafka/change-event.ts';
import { createDecoder } from '../kafka/envelope-decoder.ts';
import type { SchemaSource } from '../kafka/registry.ts';
import type { Topics } from '../kafka/topics.ts';
import { Applier } from './applier.ts';
import { Arrival } from './arrival.ts';
import { Asking } from './asking.ts';
import type { Checkpoint, CheckpointStore } from './checkpoint.ts';
import { unfitness } from './connector-fit.ts';
import type { DeadLetters } from './dead-letters.ts';
import { Merge } from './merge.ts';
import type { PipelineOptions } from './pipeline.ts';
import type { Replica } from './replica.ts';
import { type ConnectorSchemas, collectionName } from './replica-names.ts';
import type { SnapshotSignals } from './snapshot-signals.ts';
import { groupOf } from './topic-offsets.ts';
import { startTopicReader } from './topic-reader.ts';
import { watchTopic } from './topic-watch.ts';

export interface FollowOptions extends PipelineOptions {
  schemas: ConnectorSchemas;
  client: pg.ClientBase;
  pool: pg.Pool;
  token: string;
  kafka: Kafka;
  topics: Topics;
  registry: SchemaSource;
  replica: Replica;
  store: CheckpointStore;
  checkpoint: Checkpoint;
  signals: SnapshotSignals;
  deadLetters: DeadLetters;
  /** Aborted when the process ends, or with the error of a part. */
  stop: AbortSignal;
  fail(error: unknown): void;
}

/** An idle loop looks around so often. */
const IDLE_MS = 1_000;
/** While more of a unit is awaited, its open transaction shows life so often. */
const MORE_MS = 250;

/** Reads, merges, applies and wakes delivery, from the checkpoint on until `stop` aborts. */
export async function follow(options: FollowOptions): Promise<void> {
  const { config, connector, context, metrics, checkpoint, replica, client, stop, fail, topics } = options;
  const { log, health, signal } = context;
  const merge = new Merge({
    connector: connector.name,
    transactionTopic: topics.transaction,
    tables: connector.tables.map((table) => ({
      topic: topics.table(table.schema, table.table),
      collection: collectionName(table),
    })),
    queueBytes: config.queueBytes,
    offsets: checkpoint.request?.offsets ?? checkpoint.offsets,
    position: checkpoint.position && { ...checkpoint.position, seq: BigInt(checkpoint.position.seq) },
    awaited: checkpoint.request?.id ?? null,
  });
  const arrival = new Arrival();
  stop.addEventListener('abort', () => arrival.notify(), { once: true });
  const reader = await startTopicReader({
    kafka: options.kafka,
    groupId: groupOf(config.kafka.topicPrefix, connector.name, options.token),
    topics: [topics.transaction, ...connector.tables.map(({ schema, table }) => topics.table(schema, table))],
    transactionTopic: topics.transaction,
    offsets: merge.offsets(),
    decoder: createDecoder(options.registry),
    merge,
    maxBytesPerTopic: Math.max(1024 * 1024, config.kafka.maxMessageBytes),
    onArrival: () => arrival.notify(),
    onSign: () => {
      try {
        merge.signOfLife(performance.now());
      } catch (error) {
        fail(error);
      }
    },
    onError: fail,
  });
  const applier = new Applier({
    client,
    connector,
    schemas: options.schemas,
    replica,
    store: options.store,
    checkpoint,
    merge,
    behind: () => reader.behind(),
    onTaken: () => reader.resume(merge.resumable()),
    more: async () => {
      await arrival.wait(MORE_MS);
      stop.throwIfAborted();
      health.live();
    },
    shapeOf: (table) => registeredShape(options.registry, topics, table),
    isLiveWhole: unfitness(connector, replica.live.tables).length === 0,
    projectIntervalMs: config.projectIntervalMs,
    onRefused: () => options.deadLetters.written(),
    metrics,
    log,
  });
  const asking = new Asking({ client, connector, replica, merge, applier, signals: options.signals, log });
  const delivery = options.createDelivery({
    connector,
    schemas: options.schemas,
    pool: options.pool,
    token: options.token,
    onDeadLetters: () => {
      options.deadLetters.written();
      arrival.notify();
    },
    onMarked: () => {
      applier.marked();
      arrival.notify();
    },
    onLost: fail,
  });
  metrics.snapshotState.set(merge.awaited ? 1 : applier.isStaging ? 2 : 0);
  const ended = new AbortController();
  const watched = AbortSignal.any([stop, ended.signal]);
  void watchTopic({ kafka: options.kafka, topics, merge, log, signal: watched, onBroken: fail });
  const frozen = checkpoint.request?.reason ?? 'a full snapshot is being filled in';
  health.ready('consumer', true);
  log.info({ event: 'consumer_follows', seq: checkpoint.position?.seq, awaited: merge.awaited }, 'reading');
  try {
    delivery.wake();
    while (!stop.aborted) {
      health.live();
      health.ready('replica', merge.awaited === null && !applier.isStaging, frozenBy(applier.withheld, frozen));
      const outcome = (await applier.next()) ?? (await applier.idle());
      if (outcome?.projected) delivery.wake();
      await asking.look();
      await options.deadLetters.publish();
      metrics.queuedBytes.set(merge.queuedBytes);
      metrics.behindMessages.set(reader.behind());
      metrics.lagSeconds.set(merge.waitingRecords > 0 || reader.behind() > 0 ? applier.ageSeconds(Date.now()) : 0);
      if (outcome === null) await arrival.wait(IDLE_MS);
    }
    if (!signal.aborted) throw stop.reason;
  } finally {
    ended.abort();
    await Promise.all([delivery.stop(), reader.stop()]);
  }
}

function frozenBy(withheld: string | null, reason: string): string {
  return withheld === null
    ? `frozen until a full snapshot: ${reason}`
    : `frozen until SIIRAyS has what the connector reads, or the connector's file is another: ${withheld}`;
}

/** The newest shape that the producer has registered for a table. */
async function registeredShape(
  registry: SchemaSource,
  topics: Topics,
  { schema, table }: TableRef,
): Promise<TableShape> {
  // No schema has the id 0, so that the subject's newest version is looked up.
  return shapeOf(await registry.find(`${topics.table(schema, table)}-value`, 0, () => true));
}
