import { SchemaRegistry, SchemaType } from '@kafkajs/confluent-schema-registry';
import { bigLongs } from '../kafka/avro-long.ts';
import { type Batch, readWholeTopics } from './whole-topics.ts';

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
  const played = new Map(topics.map(({ topic, keyless }) => [topic, new Played(keyless)]));
  // One for each: avsc takes a record's name once, and all have a Source.
  const registries = new Map(
    [...played.keys()].map((name) => [
      name,
      new SchemaRegistry({ host }, { [SchemaType.AVRO]: { registry: { long: bigLongs } } }),
    ]),
  );
  const failures: unknown[] = [];
  const take = async (batch: Batch): Promise<void> => {
    const registry = registries.get(batch.topic)!;
    for (const message of batch.messages) {
      const key = message.key && ((await registry.decode(message.key)) as AvroRow);
      const value = (await registry.decode(message.value!)) as Envelope;
      const unchanged = message.headers?.unchanged;
      played.get(batch.topic)!.take(key, value, unchanged ? (JSON.parse(String(unchanged)) as string[]) : []);
    }
  };
  // The client would try again what fails, and say nothing.
  const check = (): void => {
    if (failures.length > 0) throw failures[0];
  };
  const onBatch = (batch: Batch) => take(batch).catch((error: unknown) => void failures.push(error));
  await readWholeTopics(address, [...played.keys()], onBatch, { check });
  check();
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
