import assert from 'node:assert/strict';
import type { Topics } from '../../../src/kafka/topics.ts';
import { decodeTransactionRecord } from '../../../src/kafka/transaction-record.ts';
import type { Event } from '../../producer/fake-writer.ts';
import type { SimulatedKafka } from './simulated-kafka.ts';
import { SHAPES } from './simulated-server.ts';

/** A transaction as the topics have it: the keys inserted into each table, in order. */
export interface Unit {
  id: string;
  events: string[][];
}

/**
 * Reads the topics as anybody can: by history, its units in order. Fails where BEGIN and END do not fit together, seq has a
 * gap, a count is wrong, or a table topic holds an event that belongs to no unit at its place.
 */
export function readHistories(kafka: SimulatedKafka, topics: Topics): Map<number, Unit[]> {
  const records = kafka.committed(topics.transaction).map(({ value }) => decodeTransactionRecord(value as Buffer));
  const tables = SHAPES.map(({ schema, table }) =>
    kafka.committed(topics.table(schema, table)).map(({ value }) => JSON.parse(String(value)) as Event),
  );
  const histories = new Map<number, Unit[]>();
  assert.equal(records.length % 2, 0, 'a unit without its END');
  for (let i = 0; i < records.length; i += 2) {
    const [begin, end] = [records[i]!, records[i + 1]!];
    assert.deepEqual([begin.status, end.status, end.id, end.seq], ['BEGIN', 'END', begin.id, begin.seq]);
    const units = histories.get(begin.history) ?? [];
    histories.set(begin.history, units);
    assert.equal(begin.seq, String(units.length + 1), 'a gap in seq');
    let total = 0;
    const events = SHAPES.map(({ schema, table }, t) => {
      const named = end.dataCollections?.find(({ dataCollection }) => dataCollection === `${schema}.${table}`);
      const mine = tables[t]!.splice(0, named?.eventCount ?? 0);
      for (const event of mine) assert.equal(event.transaction, begin.id, 'an event of another transaction');
      assert.deepEqual(
        mine.map(({ order }) => order[1]),
        mine.map((_, n) => n + 1),
      );
      total += mine.length;
      return mine.map(({ after }) => after![0] as string);
    });
    assert.equal(total, end.eventCount);
    units.push({ id: begin.id, events });
  }
  assert.deepEqual(
    tables.map((rest) => rest.length),
    SHAPES.map(() => 0),
    'events of no unit',
  );
  return histories;
}
