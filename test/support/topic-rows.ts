import { randomUUID } from 'node:crypto';
import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import { Kafka, logLevel } from 'kafkajs';
import { bigLongs } from '../kafka/avro-long.ts';
import { until } from './until.ts';

/** A value as Avro's own library decodes it. */
export type AvroValue = null | string | number | bigint | boolean;
export type AvroRow = Record<string, AvroValue>;

/** What a topic says that its table holds, and how many values came as placeholders of unchanged ones. */
export interface TopicRows {
  rows: AvroRow[];
  /** By column. */
  unchanged: Record<string, number>;
  ops: Record<string, number>;
}

interface Envelope {
  op: string;
  before: AvroRow | null;
  after: AvroRow | null;
}

/**
 * Plays table topics from their beginning with nothing of ours: kafkajs, the registry's official client and avsc. Columns
 * have their names in Avro. A row is known by the message's key, or as a whole where `keyless`.
 */
export async function rowsOfTopics(
  { kafka: address, registry: host }: { kafka: string; registry: string },
  topics: readonly { topic: string; keyless: boolean }[],
): Promise<Map<string, TopicRows>> {
  const kafka = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING });
  const names = topics.map(({ topic }) => topic);
  const admin = kafka.admin();
  await admin.connect();
  const ends = new Map<string, bigint>();
  for (const name of names) {
    const [partition] = await admin.fetchTopicOffsets(name);
    if (BigInt(partition!.high) > 0n) ends.set(name, BigInt(partition!.high));
  }
  await admin.disconnect();
  const played = new Map(topics.map(({ topic, keyless }) => [topic, new Played(keyless)]));
  // One for each: avsc takes a record's name once, and all have a Source.
  const registries = new Map(
    names.map((name) => [name, new SchemaRegistry({ host }, { [SchemaType.AVRO]: { registry: { long: bigLongs } } })]),
  );
  const reached = new Map<string, bigint>();
  const failures: unknown[] = [];
  const consumer = kafka.consumer({ groupId: `played.${randomUUID()}`, readUncommitted: false, maxWaitTimeInMs: 50 });
  consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
    reached.set(payload.topic, BigInt(payload.lastOffset) + 1n);
  });
  await consumer.connect();
  await consumer.subscribe({ topics: names, fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      try {
        const registry = registries.get(batch.topic)!;
        for (const message of batch.messages) {
          const key = message.key && ((await registry.decode(message.key)) as AvroRow);
          const value = (await registry.decode(message.value!)) as Envelope;
          const unchanged = message.headers?.unchanged;
          played.get(batch.topic)!.take(key, value, unchanged ? (JSON.parse(String(unchanged)) as string[]) : []);
        }
      } catch (error) {
        failures.push(error);
      }
    },
  });
  try {
    const behind = () => [...ends].filter(([name, end]) => (reached.get(name) ?? 0n) < end);
    await until(() => failures.length > 0 || behind().length === 0, 'the ends of the topics', 30_000);
  } finally {
    await consumer.disconnect();
  }
  if (failures.length > 0) throw failures[0];
  return new Map([...played].map(([topic, one]) => [topic, one.result()]));
}

class Played {
  readonly #keyless: boolean;
  readonly #rows = new Map<string, { row: AvroRow; count: number }>();
  readonly #unchanged: Record<string, number> = {};
  readonly #ops: Record<string, number> = {};

  constructor(keyless: boolean) {
    this.#keyless = keyless;
  }

  take(key: AvroRow | null, { op, before, after }: Envelope, unchanged: readonly string[]): void {
    this.#ops[op] = (this.#ops[op] ?? 0) + 1;
    for (const column of unchanged) this.#unchanged[column] = (this.#unchanged[column] ?? 0) + 1;
    if (op === 't') {
      this.#rows.clear();
      return;
    }
    if (this.#keyless) {
      if (before) this.#count(before, -1);
      if (after) this.#count(after, 1);
      return;
    }
    const names = Object.keys(key!);
    const old = identity(names, before ?? after!);
    const held = this.#rows.get(old)?.row;
    this.#rows.delete(old);
    if (!after) return;
    const row = { ...after };
    for (const column of unchanged) row[column] = before?.[column] ?? held![column]!;
    this.#rows.set(identity(names, row), { row, count: 1 });
  }

  #count(row: AvroRow, by: number): void {
    const text = identity(Object.keys(row), row);
    const entry = this.#rows.get(text) ?? { row, count: 0 };
    entry.count += by;
    if (entry.count === 0) this.#rows.delete(text);
    else this.#rows.set(text, entry);
  }

  result(): TopicRows {
    const rows = [...this.#rows.values()].flatMap(({ row, count }) => Array.from({ length: count }, () => row));
    return { rows, unchanged: this.#unchanged, ops: this.#ops };
  }
}

function identity(names: readonly string[], row: AvroRow): string {
  return names.map((name) => avroText(row[name] ?? null) ?? '\u0001').join('\u0000');
}

/** One text per value. */
export function avroText(value: AvroValue): string | null {
  if (value === null || typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 't' : 'f';
  return Object.is(value, -0) ? '-0' : String(value);
}
