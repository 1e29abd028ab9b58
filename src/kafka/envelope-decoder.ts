import type { KafkaMessage } from 'kafkajs';
import { AvroReader } from './avro-bytes.ts';
import { type AvroKind, avroKind, shapeOf } from './avro-schema.ts';
import {
  type ChangeEvent,
  type EventDecoder,
  type Op,
  type TableShape,
  UNCHANGED,
  type Value,
} from './change-event.ts';
import { SCHEMA_HEADER, UNCHANGED_HEADER } from './envelope-encoder.ts';
import type { SchemaSource } from './registry.ts';

interface Plan {
  shape: TableShape;
  kinds: AvroKind[];
}

/**
 * Decodes table topics. Schemas are known by the fingerprint in the message's header, not by the registry's id, since a
 * registry that was lost gives the same ids to other schemas.
 */
export function createDecoder(registry: SchemaSource): EventDecoder {
  const plans = new Map<string, Plan>();

  async function fetchPlan(topic: string, fingerprint: string, id: number): Promise<Plan> {
    const schema = await registry.find(`${topic}-value`, id, (text) => shapeOf(text).fingerprint === fingerprint);
    const shape = shapeOf(schema);
    const plan = { shape, kinds: shape.columns.map((column) => avroKind(column.type)) };
    plans.set(fingerprint, plan);
    return plan;
  }

  return {
    decode(topic, message) {
      const fingerprint = header(message, SCHEMA_HEADER);
      const value = message.value;
      if (fingerprint === null || value === null || value[0] !== 0) {
        throw new Error(`a message of ${topic} at offset ${message.offset} is not an event of this service`);
      }
      const plan = plans.get(fingerprint);
      if (plan) return read(plan, message, value);
      return fetchPlan(topic, fingerprint, value.readUInt32BE(1)).then((fetched) => read(fetched, message, value));
    },
  };
}

function header(message: KafkaMessage, name: string): string | null {
  const value = message.headers?.[name];
  return value === undefined ? null : String(value);
}

function read(plan: Plan, message: KafkaMessage, value: Buffer): ChangeEvent {
  const reader = new AvroReader(value, 5);
  const unchanged = header(message, UNCHANGED_HEADER);
  const places = unchanged === null ? null : placesOf(plan.shape, JSON.parse(unchanged) as string[]);
  const before = optionalRow(reader, plan.kinds, null);
  const after = optionalRow(reader, plan.kinds, places);
  skipSource(reader);
  const op = reader.string() as Op;
  if (reader.long() !== 0) reader.longText();
  if (reader.long() === 0) throw new Error('an event without a transaction');
  const transactionId = reader.string();
  return {
    op,
    transactionId,
    totalOrder: reader.long(),
    before,
    after,
    shape: plan.shape,
    offset: message.offset,
    bytes: value.length + (message.key?.length ?? 0),
  };
}

function placesOf(shape: TableShape, names: string[]): Set<number> {
  return new Set(names.map((name) => shape.columns.findIndex((column) => column.name === name)));
}

function optionalRow(reader: AvroReader, kinds: AvroKind[], unchanged: Set<number> | null): Value[] | null {
  if (reader.long() === 0) return null;
  const row: Value[] = new Array(kinds.length);
  for (let i = 0; i < kinds.length; i++) row[i] = reader.long() === 0 ? null : text(reader, kinds[i]!);
  if (unchanged) for (const place of unchanged) row[place] = UNCHANGED;
  return row;
}

/** A value as PostgreSQL's text. */
function text(reader: AvroReader, kind: AvroKind): string {
  switch (kind) {
    case 'string':
      return reader.string();
    case 'int':
    case 'long':
      return reader.longText();
    case 'boolean':
      return reader.boolean() ? 't' : 'f';
    case 'float':
      return floatText(reader.float());
    case 'double':
      return floatText(reader.double());
  }
}

function floatText(value: number): string {
  return Object.is(value, -0) ? '-0' : String(value);
}

/** The source block says nothing that applying needs; its fields are fixed, see avro-schema.ts. */
function skipSource(reader: AvroReader): void {
  for (let i = 0; i < 3; i++) reader.string();
  reader.longText();
  for (let i = 0; i < 4; i++) reader.string();
  if (reader.long() !== 0) reader.longText();
  reader.longText();
  reader.longText();
}
