import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { parsePgoutput } from '../../src/producer/pgoutput.ts';
import * as message from './pgoutput-messages.ts';

const oid = fc.constantFrom(1, 16_384, 2 ** 31, 2 ** 32 - 1);
const row = fc.array(fc.oneof(fc.string(), fc.constant(null), fc.constant(undefined)), { maxLength: 6 });

describe("pgoutput's messages", () => {
  test('BEGIN and COMMIT have unsigned numbers', () => {
    const lsn = 2n ** 63n + 12n;
    assert.deepEqual(parsePgoutput(message.begin(4_294_967_290, lsn, 1_700_000_000_123)), {
      tag: 'begin',
      commitLsn: lsn,
      commitMs: 1_700_000_000_123,
      xid: 4_294_967_290,
    });
    assert.equal((parsePgoutput(message.begin(1, 1n, -5)) as { commitMs: number }).commitMs, -5);
    assert.deepEqual(parsePgoutput(message.commit(lsn, lsn + 8n, 1)), {
      tag: 'commit',
      commitLsn: lsn,
      endLsn: lsn + 8n,
    });
  });

  test('a relation tells its columns, key and identity; an empty schema is pg_catalog', () => {
    const relation = {
      oid: 2 ** 32 - 1,
      schema: 'público',
      table: 'tubería 2',
      identity: 'i' as const,
      columns: [
        { name: 'id', key: true, typeOid: 23, typeModifier: -1 },
        { name: 'número', key: false, typeOid: 2 ** 32 - 2, typeModifier: 786_438 },
      ],
    };
    assert.deepEqual(parsePgoutput(message.relation(relation)), { tag: 'relation', relation });
    const system = { ...relation, schema: 'pg_catalog', columns: [] };
    assert.deepEqual(parsePgoutput(message.relation(system)), { tag: 'relation', relation: system });
  });

  test('changes hold the rows as they came', () => {
    fc.assert(
      fc.property(oid, row, row, fc.constantFrom('K' as const, 'O' as const), (id, before, after, identity) => {
        const change = (op: string, old: message.Texts | null, next: message.Texts | null) => ({
          tag: 'change',
          op,
          relation: id,
          before: old && message.tuple(old),
          after: next && message.tuple(next),
        });
        assert.deepEqual(parsePgoutput(message.insert(id, after)), change('c', null, after));
        assert.deepEqual(parsePgoutput(message.update(id, null, after)), change('u', null, after));
        assert.deepEqual(parsePgoutput(message.update(id, before, after, identity)), change('u', before, after));
        assert.deepEqual(parsePgoutput(message.remove(id, before, identity)), change('d', before, null));
      }),
    );
  });

  test('TRUNCATE names all its tables', () => {
    assert.deepEqual(parsePgoutput(message.truncate(1, 2 ** 32 - 1)), { tag: 'truncate', relations: [1, 2 ** 32 - 1] });
  });

  test('types, origins and logical messages are passed over, what is unknown is not', () => {
    for (const tag of ['Y', 'O', 'M']) assert.deepEqual(parsePgoutput(Buffer.from(`${tag}\0\0`)), { tag: 'other' });
    assert.throws(() => parsePgoutput(Buffer.from('S\0\0\0\0\0')), RangeError);
    assert.throws(() => parsePgoutput(message.begin(1, 1n).subarray(0, 9)), RangeError);
  });
});
