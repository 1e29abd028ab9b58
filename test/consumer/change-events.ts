/** Events and records as the decoder gives them, made by hand. */
import { createHash } from 'node:crypto';
import type { ChangeEvent, Op, TableShape, Value } from '../../src/kafka/change-event.ts';
import type { TransactionRecord } from '../../src/kafka/transaction-record.ts';

export function shapeOf(table: string, columns: Record<string, string>, key: readonly string[]): TableShape {
  const names = Object.keys(columns);
  const shape = {
    schema: 'public',
    table,
    columns: names.map((name) => ({ name, type: columns[name]! })),
    key: key.map((name) => names.indexOf(name)),
  };
  return { ...shape, fingerprint: createHash('sha256').update(JSON.stringify(shape)).digest('hex').slice(0, 16) };
}

export interface EventOptions {
  op: Op;
  before?: Value[] | null;
  after?: Value[] | null;
  transactionId?: string;
  offset?: string;
  bytes?: number;
}

export function eventOf(shape: TableShape, options: EventOptions): ChangeEvent {
  return {
    before: null,
    after: null,
    transactionId: '1:1',
    totalOrder: 1,
    offset: '0',
    bytes: 100,
    ...options,
    shape,
  };
}

export function record(
  status: 'BEGIN' | 'END',
  seq: number,
  counts: Record<string, number>,
  change: Partial<TransactionRecord> = {},
): TransactionRecord {
  const end = status === 'END';
  const collections = Object.entries(counts).map(([dataCollection, eventCount]) => ({ dataCollection, eventCount }));
  return {
    status,
    history: 1,
    seq: String(seq),
    kind: 'stream',
    id: `${seq}:${seq * 100}`,
    eventCount: end ? collections.reduce((sum, { eventCount }) => sum + eventCount, 0) : null,
    dataCollections: end ? collections : null,
    tsMs: 1_700_000_000_000 + seq,
    endLsn: String(seq * 100 + 50),
    snapshot: null,
    ...change,
  };
}

export function snapshotRecord(
  status: 'BEGIN' | 'END',
  seq: number,
  requestId: string,
  connector = 'epsa',
  tables: string[] = [],
): TransactionRecord {
  return record(
    status,
    seq,
    {},
    { kind: 'snapshot', id: `snapshot:${seq}`, snapshot: { requestId, connector, tables } },
  );
}
