import { createDecoder } from '../../src/kafka/envelope-decoder.ts';
import { createRegistry } from '../../src/kafka/registry.ts';
import type { Topics } from '../../src/kafka/topics.ts';
import { decodeTransactionRecord } from '../../src/kafka/transaction-record.ts';
import { type Batch, readWholeTopics } from './whole-topics.ts';

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
  const names = [topics.transaction, ...new Set(tables.map(({ schema, table }) => topics.table(schema, table)))];
  const registry = createRegistry({ url: registryUrl });
  const decoder = createDecoder(registry);
  const units: WitnessedUnit[] = [];
  const byId = new Map<string, { unit: WitnessedUnit | null; count: number; promised: number | null }>();
  const entry = (id: string) => {
    const known = byId.get(id) ?? { unit: null, count: 0, promised: null };
    byId.set(id, known);
    return known;
  };
  const take = async (batch: Batch): Promise<void> => {
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
  };
  try {
    await readWholeTopics(address, names, take, { withinMs });
  } finally {
    await registry.close();
  }
  for (const [id, { unit, count, promised }] of byId) {
    if (!unit) throw new Error(`${count} events of ${id} have no END`);
    if (count !== promised) throw new Error(`unit ${id} has ${count} events, its END says ${promised}`);
    unit.events = count;
  }
  return units;
}
