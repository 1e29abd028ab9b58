import type { RelationMessage } from '../../src/producer/pgoutput.ts';

/**
 * pgoutput's messages made by hand (PostgreSQL manual, "Logical Replication Message Formats"), independently of the code
 * that reads them. A value is text, null, or undefined for an unchanged TOASTed one.
 */
export type Texts = readonly (string | null | undefined)[];

export function tuple(values: Texts): Buffer {
  const pieces = values.map((value) => {
    if (value === null) return Buffer.from('n');
    if (value === undefined) return Buffer.from('u');
    const text = Buffer.from(value);
    return Buffer.concat([Buffer.from('t'), int32(text.length), text]);
  });
  return Buffer.concat([int16(values.length), ...pieces]);
}

/** The values of a tuple. */
export function valuesOf(bytes: Buffer): (string | null | undefined)[] {
  const values: (string | null | undefined)[] = [];
  let at = 2;
  for (let left = bytes.readUInt16BE(0); left > 0; left--) {
    const tag = String.fromCharCode(bytes[at]!);
    at++;
    if (tag === 'n') values.push(null);
    else if (tag === 'u') values.push(undefined);
    else {
      const end = at + 4 + bytes.readUInt32BE(at);
      values.push(bytes.toString('utf8', at + 4, end));
      at = end;
    }
  }
  if (at !== bytes.length) throw new Error('bytes behind the tuple');
  return values;
}

const EPOCH_2000_US = 946_684_800_000_000n;

export function begin(xid: number, commitLsn: bigint, commitMs = 0): Buffer {
  return Buffer.concat([Buffer.from('B'), int64(commitLsn), time(commitMs), int32(xid)]);
}

export function commit(commitLsn: bigint, endLsn: bigint, commitMs = 0): Buffer {
  return Buffer.concat([Buffer.from('C\0'), int64(commitLsn), int64(endLsn), time(commitMs)]);
}

export function relation({ oid, schema, table, identity, columns }: RelationMessage): Buffer {
  return Buffer.concat([
    Buffer.from('R'),
    int32(oid),
    Buffer.from(`${schema === 'pg_catalog' ? '' : schema}\0${table}\0${identity}`),
    int16(columns.length),
    ...columns.flatMap(({ key, name, typeOid, typeModifier }) => [
      Buffer.from([key ? 1 : 0]),
      Buffer.from(`${name}\0`),
      int32(typeOid),
      int32(typeModifier),
    ]),
  ]);
}

export function insert(oid: number, after: Texts): Buffer {
  return Buffer.concat([Buffer.from('I'), int32(oid), Buffer.from('N'), tuple(after)]);
}

/** @param identity K: `before` holds the old key only, O: the whole old row */
export function update(oid: number, before: Texts | null, after: Texts, identity: 'K' | 'O' = 'K'): Buffer {
  const old = before ? [Buffer.from(identity), tuple(before)] : [];
  return Buffer.concat([Buffer.from('U'), int32(oid), ...old, Buffer.from('N'), tuple(after)]);
}

export function remove(oid: number, before: Texts, identity: 'K' | 'O' = 'K'): Buffer {
  return Buffer.concat([Buffer.from('D'), int32(oid), Buffer.from(identity), tuple(before)]);
}

export function truncate(...oids: number[]): Buffer {
  return Buffer.concat([Buffer.from('T'), int32(oids.length), Buffer.from([0]), ...oids.map(int32)]);
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
}

function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt.asUintN(64, value));
  return bytes;
}

function time(ms: number): Buffer {
  return int64(BigInt(ms) * 1000n - EPOCH_2000_US);
}
