import { tupleEnd } from '../kafka/tuple.ts';
import type { Lsn } from '../postgres/lsn.ts';

/**
 * pgoutput's messages, protocol version 1 (PostgreSQL manual, 54.9 "Logical Replication Message Formats"). Read by hand
 * because the library's parser turns values into JavaScript types, which loses digits; here a row stays the bytes that
 * PostgreSQL sent.
 */
export type PgoutputMessage =
  | { tag: 'begin'; commitLsn: Lsn; commitMs: number; xid: number }
  | { tag: 'commit'; commitLsn: Lsn; endLsn: Lsn }
  | { tag: 'relation'; relation: RelationMessage }
  | { tag: 'change'; op: 'c' | 'u' | 'd'; relation: number; before: Buffer | null; after: Buffer | null }
  | { tag: 'truncate'; relations: number[] }
  | { tag: 'other' };

export interface RelationMessage {
  oid: number;
  schema: string;
  table: string;
  /** d default, i index, f full, n nothing */
  identity: 'd' | 'i' | 'f' | 'n';
  columns: { name: string; key: boolean; typeOid: number; typeModifier: number }[];
}

const EPOCH_2000_MS = 946_684_800_000;
const OTHER: PgoutputMessage = { tag: 'other' };

/**
 * Reads one message. `before` and `after` are views of `buffer`: copy what is kept.
 * @throws RangeError where the message is none of protocol version 1
 */
export function parsePgoutput(buffer: Buffer): PgoutputMessage {
  switch (buffer[0]) {
    case 0x49: // I
      return { tag: 'change', op: 'c', relation: buffer.readUInt32BE(1), before: null, after: buffer.subarray(6) };
    case 0x55: // U
      return update(buffer);
    case 0x44: // D
      return { tag: 'change', op: 'd', relation: buffer.readUInt32BE(1), before: buffer.subarray(6), after: null };
    case 0x42: // B
      return {
        tag: 'begin',
        commitLsn: buffer.readBigUInt64BE(1),
        commitMs: EPOCH_2000_MS + Math.floor(Number(buffer.readBigInt64BE(9)) / 1000),
        // The library reads this field as signed; transaction ids are not.
        xid: buffer.readUInt32BE(17),
      };
    case 0x43: // C
      return { tag: 'commit', commitLsn: buffer.readBigUInt64BE(2), endLsn: buffer.readBigUInt64BE(10) };
    case 0x52: // R
      return { tag: 'relation', relation: relation(buffer) };
    case 0x54: // T
      return truncate(buffer);
    case 0x59: // Y, type
    case 0x4f: // O, origin
    case 0x4d: // M, logical message
      return OTHER;
    default:
      throw new RangeError(`unknown pgoutput message ${buffer[0]}`);
  }
}

function update(buffer: Buffer): PgoutputMessage {
  const oid = buffer.readUInt32BE(1);
  if (buffer[5] === 0x4e) return { tag: 'change', op: 'u', relation: oid, before: null, after: buffer.subarray(6) };
  const end = tupleEnd(buffer, 6);
  return { tag: 'change', op: 'u', relation: oid, before: buffer.subarray(6, end), after: buffer.subarray(end + 1) };
}

function truncate(buffer: Buffer): PgoutputMessage {
  const count = buffer.readUInt32BE(1);
  const relations = Array.from({ length: count }, (_, i) => buffer.readUInt32BE(6 + 4 * i));
  return { tag: 'truncate', relations };
}

function relation(buffer: Buffer): RelationMessage {
  let at = 5;
  const text = (): string => {
    const end = buffer.indexOf(0, at);
    const value = buffer.toString('utf8', at, end);
    at = end + 1;
    return value;
  };
  const oid = buffer.readUInt32BE(1);
  // An empty schema name stands for pg_catalog.
  const schema = text() || 'pg_catalog';
  const table = text();
  const identity = String.fromCharCode(buffer[at++]!) as RelationMessage['identity'];
  const count = buffer.readUInt16BE(at);
  at += 2;
  const columns = Array.from({ length: count }, () => {
    const key = (buffer[at++]! & 1) === 1;
    const name = text();
    const typeOid = buffer.readUInt32BE(at);
    const typeModifier = buffer.readInt32BE(at + 4);
    at += 8;
    return { name, key, typeOid, typeModifier };
  });
  return { oid, schema, table, identity, columns };
}
