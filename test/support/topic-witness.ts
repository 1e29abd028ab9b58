import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';
import { createDecoder } from '../../src/kafka/envelope-decoder.ts';
import { createRegistry } from '../../src/kafka/registry.ts';
import type { Topics } from '../../src/kafka/topics.ts';
import { decodeTransactionRecord } from '../../src/kafka/transaction-record.ts';
import { until } from './until.ts';

/** A unit of the transaction topic, with the number of its events that a reader finds in the table topics. */
export interface WitnessedUnit {
  kind: 'stream' | 'chunk' | 'snapshot' | 'shape';
  id: string;
  history: number;
  seq: bigint;
  events: number;
}

/**
 * Reads all topics from their beginning to their end, read_committed, as any team would.
 * @throws where a unit's END does not agree with the events that are there, or comes twice
 */
export async function allUnits(
  { kafka: address, registry: registryUrl }: { kafka: string; registry: string },
  topics: Topics,
  tables: readonly { schema: string; table: string }[],
  withinMs = 30_000,
): Promise<WitnessedUnit[]> {
  const kafka = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING });
  const names = [topics.transaction, ...new Set(tables.map(({ schema, table }) => topics.table(schema, table)))];
  const admin = kafka.admin();
  await admin.connect();
  const ends = new Map<string, bigint>();
  for (const name of names) {
    const [partition] = await admin.fetchTopicOffsets(name);
    if (BigInt(partition!.high) > 0n) ends.set(name, BigInt(partition!.high));
  }
  await admin.disconnect();

  const registry = createRegistry({ url: registryUrl });
  const decoder = createDecoder(registry);
  const units: WitnessedUnit[] = [];
  const byId = new Map<string, { unit: WitnessedUnit | null; count: number; promised: number | null }>();
  const entry = (id: string) => {
    const known = byId.get(id) ?? { unit: null, count: 0, promised: null };
    byId.set(id, known);
    return known;
  };
  const reached = new Map<string, bigint>();
  const consumer = kafka.consumer({ groupId: `witness.${randomUUID()}`, readUncommitted: false, maxWaitTimeInMs: 100 });
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    reached.set(payload.topic, BigInt(payload.lastOffset) + 1n);
  });
  await consumer.connect();
  await consumer.subscribe({ topics: names, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      for (const message of batch.messages) {
        if (batch.topic !== topics.transaction) {
          entry((await decoder.decode(batch.topic, message)).transactionId).count++;
          continue;
        }
        const record = decodeTransactionRecord(message.value!);
        if (record.kind !== 'snapshot' && record.status === 'BEGIN') continue;
        const known = entry(record.kind === 'snapshot' ? `${record.id}:${record.status}` : record.id);
        if (known.unit) throw new Error(`unit ${record.id} ends twice`);
        known.unit = { kind: record.kind, id: record.id, history: record.history, seq: BigInt(record.seq), events: 0 };
        known.promised = record.eventCount ?? 0;
        units.push(known.unit);
      }
    },
  });
  try {
    const behind = () => [...ends].filter(([name, end]) => (reached.get(name) ?? 0n) < end);
    await until(() => behind().length === 0, 'the ends of all topics', withinMs).catch((error: Error) => {
      throw new Error(
        `${error.message}: ${behind().map(([name, end]) => `${name} at ${reached.get(name)} of ${end}`)}`,
      );
    });
  } finally {
    await consumer.disconnect();
    await registry.close();
  }
  for (const [id, { unit, count, promised }] of byId) {
    if (!unit) throw new Error(`${count} events of ${id} have no END`);
    if (count !== promised) throw new Error(`unit ${id} has ${count} events, its END says ${promised}`);
    unit.events = count;
  }
  return units;
}
