import avro from 'avsc';

/** A record of the transaction topic. `seq` counts the history's units without a gap, see docs/topics of the project. */
export interface TransactionRecord {
  status: 'BEGIN' | 'END';
  history: number;
  /** Decimal. BEGIN and END of a transaction share it; those of a snapshot have one each. */
  seq: string;
  /**
   * stream: a SIIRAyS transaction; chunk: rows read again; snapshot: the bounds of a whole re-read; shape: tables are no
   * longer what they were.
   */
  kind: 'stream' | 'chunk' | 'snapshot' | 'shape';
  id: string;
  /** Events of the transaction, in END only. */
  eventCount: number | null;
  dataCollections: { dataCollection: string; eventCount: number }[] | null;
  /** Commit time in SIIRAyS, milliseconds since 1970. */
  tsMs: number;
  /** LSN just behind the commit, decimal. */
  endLsn: string;
  snapshot: { requestId: string; connector: string; tables: string[] } | null;
  /** Of kind shape: the tables with their shape's fingerprint of now; null: it is published no more. */
  shapes?: readonly TableFingerprint[];
}

export interface TableFingerprint {
  /** `schema.table` */
  table: string;
  fingerprint: string | null;
}

/** 64-bit integers as decimal text: avsc itself refuses what a JavaScript number cannot hold. */
const LONG = avro.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => String(buffer.readBigInt64LE()),
  toBuffer: (text: string) => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigInt64LE(BigInt(text));
    return buffer;
  },
  fromJSON: (value: unknown) => String(value),
  toJSON: (text: string) => text,
  isValid: (value: unknown) => typeof value === 'string' && /^-?\d{1,19}$/.test(value),
  compare: (a: string, b: string) => (BigInt(a) < BigInt(b) ? -1 : BigInt(a) > BigInt(b) ? 1 : 0),
});

/** The value schema of the transaction topic; its first six fields are Debezium's. */
export const TRANSACTION_SCHEMA = {
  type: 'record',
  name: 'TransactionRecord',
  namespace: 'io.siirays.sync',
  fields: [
    { name: 'status', type: 'string' },
    { name: 'id', type: 'string' },
    { name: 'event_count', type: ['null', 'long'], default: null },
    {
      name: 'data_collections',
      type: [
        'null',
        {
          type: 'array',
          items: {
            type: 'record',
            name: 'DataCollection',
            fields: [
              { name: 'data_collection', type: 'string' },
              { name: 'event_count', type: 'long' },
            ],
          },
        },
      ],
      default: null,
    },
    { name: 'ts_ms', type: 'long' },
    { name: 'history', type: 'long' },
    { name: 'seq', type: 'long' },
    { name: 'kind', type: 'string' },
    { name: 'end_lsn', type: 'long' },
    {
      name: 'snapshot',
      type: [
        'null',
        {
          type: 'record',
          name: 'Snapshot',
          fields: [
            { name: 'request_id', type: 'string' },
            { name: 'connector', type: 'string' },
            { name: 'tables', type: { type: 'array', items: 'string' } },
          ],
        },
      ],
      default: null,
    },
  ],
} as const;

/** The key schema: Debezium's. */
export const TRANSACTION_KEY_SCHEMA = {
  type: 'record',
  name: 'TransactionKey',
  namespace: 'io.siirays.sync',
  fields: [{ name: 'id', type: 'string' }],
} as const;

interface Wire {
  status: string;
  id: string;
  event_count: string | null;
  data_collections: { data_collection: string; event_count: string }[] | null;
  ts_ms: string;
  history: string;
  seq: string;
  kind: string;
  end_lsn: string;
  snapshot: { request_id: string; connector: string; tables: string[] } | null;
}

const valueType = avro.Type.forSchema(TRANSACTION_SCHEMA as unknown as avro.Schema, { registry: { long: LONG } });
const keyType = avro.Type.forSchema(TRANSACTION_KEY_SCHEMA as unknown as avro.Schema);

/** Encodes a record in Confluent's wire format. */
export function encodeTransactionRecord(
  record: TransactionRecord,
  ids: { key: number; value: number },
): { key: Buffer; value: Buffer } {
  const wire: Wire = {
    status: record.status,
    id: record.id,
    event_count: record.eventCount === null ? null : String(record.eventCount),
    data_collections:
      record.dataCollections?.map((c) => ({ data_collection: c.dataCollection, event_count: String(c.eventCount) })) ??
      null,
    ts_ms: String(record.tsMs),
    history: String(record.history),
    seq: record.seq,
    kind: record.kind,
    end_lsn: record.endLsn,
    snapshot: snapshotOnWire(record),
  };
  return {
    key: framed(ids.key, keyType.toBuffer({ id: record.id })),
    value: framed(ids.value, valueType.toBuffer(wire)),
  };
}

/** The schema stays as it is, so that older records can be read: shapes stand in the place of a snapshot's tables. */
function snapshotOnWire({ snapshot, shapes }: TransactionRecord): Wire['snapshot'] {
  if (shapes) {
    const tables = shapes.map(({ table, fingerprint }) => `${fingerprint ?? ''} ${table}`);
    return { request_id: '', connector: '', tables };
  }
  return snapshot && { request_id: snapshot.requestId, connector: snapshot.connector, tables: snapshot.tables };
}

function shapeOnWire(text: string): TableFingerprint {
  const space = text.indexOf(' ');
  return { table: text.slice(space + 1), fingerprint: text.slice(0, space) || null };
}

function framed(id: number, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(id, 1);
  return Buffer.concat([head, body]);
}

/** Decodes a record of the transaction topic. The schema is fixed, so that the registry is not asked. */
export function decodeTransactionRecord(value: Buffer): TransactionRecord {
  const wire = valueType.fromBuffer(value.subarray(5)) as Wire;
  return {
    status: wire.status as TransactionRecord['status'],
    history: Number(wire.history),
    seq: wire.seq,
    kind: wire.kind as TransactionRecord['kind'],
    id: wire.id,
    eventCount: wire.event_count === null ? null : Number(wire.event_count),
    dataCollections:
      wire.data_collections?.map((c) => ({ dataCollection: c.data_collection, eventCount: Number(c.event_count) })) ??
      null,
    tsMs: Number(wire.ts_ms),
    endLsn: wire.end_lsn,
    ...(wire.kind === 'shape'
      ? { snapshot: null, shapes: wire.snapshot!.tables.map(shapeOnWire) }
      : { snapshot: snapshotOf(wire.snapshot) }),
  };
}

function snapshotOf(wire: Wire['snapshot']): TransactionRecord['snapshot'] {
  return wire && { requestId: wire.request_id, connector: wire.connector, tables: wire.tables };
}
