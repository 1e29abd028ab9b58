import { Kafka, logLevel } from 'kafkajs';
import pino, { type Logger } from 'pino';
import { Registry } from 'prom-client';
import type { ProducerConfig } from '../../src/config/types.ts';
import type { ChangeEvent } from '../../src/kafka/change-event.ts';
import { createKafka } from '../../src/kafka/client.ts';
import { createDecoder } from '../../src/kafka/envelope-decoder.ts';
import { createRegistry } from '../../src/kafka/registry.ts';
import { topicsFor } from '../../src/kafka/topics.ts';
import { decodeTransactionRecord, type TransactionRecord } from '../../src/kafka/transaction-record.ts';
import { runPipeline } from '../../src/producer/pipeline.ts';
import { createProducerMetrics } from '../../src/producer/producer-metrics.ts';

export const silent = pino({ level: process.env.TEST_LOG ?? 'silent' });

export interface TestSource {
  url: string;
  slot: string;
  publication: string;
  broker: string;
  topicPrefix: string;
  registryUrl: string;
}

/** A producer's configuration for tests: short times, small chunks. */
export function producerConfig(source: TestSource, change: Partial<ProducerConfig> = {}): ProducerConfig {
  return {
    siirays: {
      url: source.url,
      readUrl: source.url,
      slot: source.slot,
      publication: source.publication,
      walSenderTimeoutMs: 3_000,
    },
    kafka: {
      brokers: [source.broker],
      clientId: 'test-producer',
      topicPrefix: source.topicPrefix,
      replicationFactor: 1,
      transactionTimeoutMs: 20_000,
      maxMessageBytes: 1_000_000,
      retentionMs: 3_600_000,
    },
    registry: { url: source.registryUrl },
    http: { host: '127.0.0.1', port: 0 },
    retry: { minMs: 20, maxMs: 500 },
    connectorsDir: 'connectors',
    snapshot: { chunkBytes: 64 * 1024, chunkRows: 50, lockTimeoutMs: 1_000 },
    writer: { batchBytes: 1_000_000 },
    instanceId: 'test',
    logLevel: 'silent',
    ...change,
  };
}

export interface RunningProducer {
  ready: Promise<void>;
  stop(): Promise<void>;
  /** Resolves or rejects with the pipeline's own end. */
  done: Promise<void>;
}

/** One pipeline in this process. */
export function startProducer(config: ProducerConfig, log: Logger = silent): RunningProducer {
  const ending = new AbortController();
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  const done = runPipeline({
    config,
    kafka: createKafka(config.kafka, silent),
    log,
    metrics: createProducerMetrics(new Registry()),
    version: 'test',
    foundBroken: null,
    onReady: resolve,
    onStandby: () => undefined,
    signal: ending.signal,
  });
  done.catch(reject);
  ready.catch(() => undefined);
  return {
    ready,
    done,
    stop: async () => {
      ending.abort(new Error('test ends'));
      await done.catch(() => undefined);
    },
  };
}

export interface Unit {
  begin: TransactionRecord;
  end: TransactionRecord | null;
  events: ChangeEvent[];
}

export interface Witness {
  /** The units so far, in the order of the transaction topic, with their events in total order. */
  units(): Unit[];
  stop(): Promise<void>;
}

/** A plain read_committed reader of the topics: what any team sees. */
export async function witness(source: TestSource, tables: string[]): Promise<Witness> {
  const kafka = new Kafka({ brokers: [source.broker], logLevel: logLevel.NOTHING });
  const topics = topicsFor(source.topicPrefix);
  const registry = createRegistry({ url: source.registryUrl });
  const decoder = createDecoder(registry);
  const records: TransactionRecord[] = [];
  const events: ChangeEvent[] = [];
  const consumer = kafka.consumer({
    groupId: `${source.topicPrefix}.witness`,
    readUncommitted: false,
    maxWaitTimeInMs: 50,
  });
  await consumer.connect();
  const admin = kafka.admin();
  await admin.connect();
  const wanted = [topics.transaction, ...tables.map((table) => topics.table('public', table))];
  const present = await admin.listTopics();
  const missing = wanted.filter((topic) => !present.includes(topic));
  if (missing.length > 0) await admin.createTopics({ topics: missing.map((topic) => ({ topic, numPartitions: 1 })) });
  await admin.disconnect();
  await consumer.subscribe({ topics: wanted, fromBeginning: true });
  await consumer.run({
    eachBatch: async ({ batch }) => {
      for (const message of batch.messages) {
        if (batch.topic === topics.transaction) records.push(decodeTransactionRecord(message.value!));
        else events.push(await decoder.decode(batch.topic, message));
      }
    },
  });
  return {
    units() {
      const units: Unit[] = [];
      const open = new Map<string, Unit>();
      for (const record of records) {
        if (record.kind === 'snapshot' || record.kind === 'shape') {
          units.push({ begin: record, end: record, events: [] });
        } else if (record.status === 'BEGIN') {
          const unit: Unit = { begin: record, end: null, events: [] };
          units.push(unit);
          open.set(record.id, unit);
        } else {
          open.get(record.id)!.end = record;
        }
      }
      for (const event of events) open.get(event.transactionId)?.events.push(event);
      for (const unit of units) unit.events.sort((a, b) => a.totalOrder - b.totalOrder);
      return units;
    },
    async stop() {
      await consumer.disconnect();
      await registry.close();
    },
  };
}
