import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import avro from 'avsc';
import fc from 'fast-check';
import type { KafkaMessage } from 'kafkajs';
import { AvroBytes } from '../../src/kafka/avro-bytes.ts';
import { fingerprintOf, shapeOf, tableSchemas } from '../../src/kafka/avro-schema.ts';
import { type ChangeEvent, type Op, type TableShape, UNCHANGED } from '../../src/kafka/change-event.ts';
import { createDecoder } from '../../src/kafka/envelope-decoder.ts';
import { type EncodedMessage, EnvelopeEncoder, type TransactionContext } from '../../src/kafka/envelope-encoder.ts';
import { escapeName } from '../../src/kafka/names.ts';
import { tuple } from '../producer/pgoutput-messages.ts';
import { bigLongs } from './avro-long.ts';

const SOURCE = { version: '1.2.3', name: 'siirays', db: 'siirays2019' };
const TOPIC = 'siirays.public.t';
const PLACE = { lsnHigh: 0x16, lsnLow: 0xb374d848, totalOrder: 7, collectionOrder: 3 };
const TRANSACTION: TransactionContext = {
  id: '4294967295:9223372036854775807',
  txId: 4_294_967_295,
  commitLsn: 2n ** 63n - 1n,
  commitMs: 1_700_000_000_123,
  nowMs: 1_700_000_000_456,
  snapshot: false,
};

function shapeWith(columns: [name: string, type: string][], key: number[]): TableShape {
  const shape = { schema: 'público', table: 't', columns: columns.map(([name, type]) => ({ name, type })), key };
  return { ...shape, fingerprint: fingerprintOf(shape) };
}

function encoderOf(shape: TableShape): EnvelopeEncoder {
  return new EnvelopeEncoder(shape, { key: 11, value: 12 }, SOURCE, new AvroBytes());
}

/** Reads by the registered schema, with the avsc library. */
function byAvsc(shape: TableShape, part: 'key' | 'value', bytes: Buffer): Record<string, unknown> {
  assert.equal(bytes[0], 0);
  assert.equal(bytes.readUInt32BE(1), part === 'key' ? 11 : 12);
  const type = avro.Type.forSchema(JSON.parse(tableSchemas(TOPIC, shape)[part]), {
    registry: { long: bigLongs },
    wrapUnions: false,
  });
  return type.fromBuffer(bytes.subarray(5));
}

function decoder(shape: TableShape) {
  return createDecoder({
    find: async (subject, id, matches) => {
      assert.deepEqual([subject, id], [`${TOPIC}-value`, 12]);
      const schema = tableSchemas(TOPIC, shape).value;
      assert.ok(matches(schema));
      return schema;
    },
  });
}

async function decode(shape: TableShape, { key, value, headers }: EncodedMessage): Promise<ChangeEvent> {
  const message = { key, value, headers, offset: '5', timestamp: '0', attributes: 0 } as KafkaMessage;
  return decoder(shape).decode(TOPIC, message);
}

const ALL: [string, string][] = [
  ['corto', 'smallint'],
  ['entero', 'integer'],
  ['largo', 'bigint'],
  ['oid', 'oid'],
  ['real', 'real'],
  ['doble', 'double precision'],
  ['lógico', 'boolean'],
  ['número', 'numeric(12,2)'],
  ['texto', 'character varying(60)'],
];

const whole = (bits: number) =>
  fc.bigInt({ min: -(2n ** BigInt(bits - 1)), max: 2n ** BigInt(bits - 1) - 1n }).map(String);
const FLOATS = ['NaN', 'Infinity', '-Infinity', '-0', '0', '5e-324', '1.7976931348623157e+308', '0.30000000000000004'];
const row = fc.tuple(
  fc.oneof(whole(16), fc.constantFrom('-32768', '32767')),
  fc.oneof(whole(32), fc.constantFrom('-2147483648', '2147483647')),
  fc.oneof(
    whole(64),
    fc.constantFrom('-9223372036854775808', '9223372036854775807', '999999999999999', '-1000000000000000'),
  ),
  fc.constantFrom('0', '4294967295'),
  fc.constantFrom('1.5', '-0', 'NaN', '-Infinity', '1e-45'),
  fc.oneof(
    fc.constantFrom(...FLOATS),
    fc.double({ noNaN: true }).map((n) => (Object.is(n, -0) ? '-0' : String(n))),
  ),
  fc.constantFrom('t', 'f'),
  fc.constantFrom('NaN', '12345678901234567890123456789.1200', '-0.00'),
  fc.oneof(fc.string({ unit: 'binary' }), fc.constant('')),
);
const nullable = row.chain((values) =>
  fc.tuple(...values.map((value) => fc.option(fc.constant(value), { nil: null }))),
);

describe('envelopes', () => {
  test('of all kinds of values are read back as they were, by this decoder and by the avsc library', async () => {
    const shape = shapeWith(ALL, [1, 2]);
    const encoder = encoderOf(shape);
    const number = (text: string | null) => (text === null ? null : text === '-0' ? -0 : Number(text));
    await fc.assert(
      fc.asyncProperty(nullable, nullable, async (before, after) => {
        const encoded = encoder.encode('u', tuple(before), tuple(after), TRANSACTION, PLACE);
        const event = await decode(shape, encoded);
        assert.deepEqual([event.before, event.after], [before, after].map(canonical));
        assert.deepEqual(
          [event.op, event.transactionId, event.totalOrder, event.offset],
          ['u', TRANSACTION.id, 7, '5'],
        );
        assert.equal(event.bytes, encoded.key!.length + encoded.value.length);

        const read = byAvsc(shape, 'value', encoded.value) as { after: Record<string, unknown> };
        assert.deepEqual(Object.values(read.after), [
          number(after[0]!),
          number(after[1]!),
          after[2] === null ? null : BigInt(after[2]!),
          after[3] === null ? null : BigInt(after[3]!),
          after[4] === null ? null : Math.fround(number(after[4]!)!),
          number(after[5]!),
          after[6] === null ? null : after[6] === 't',
          after[7],
          after[8],
        ]);
        assert.deepEqual(
          Object.keys(read.after),
          ALL.map(([name]) => escapeName(name)),
        );
        const key = byAvsc(shape, 'key', encoded.key!);
        assert.deepEqual(Object.values(key), Object.values(read.after).slice(1, 3));
      }),
    );
  });

  test("carry Debezium's fields", () => {
    const shape = shapeWith([['id', 'integer']], [0]);
    const encoded = encoderOf(shape).encode('c', null, tuple(['1']), TRANSACTION, PLACE);
    assert.deepEqual(JSON.parse(JSON.stringify(byAvsc(shape, 'value', encoded.value), bigAsText)), {
      before: null,
      after: { id: 1 },
      source: {
        version: '1.2.3',
        connector: 'postgresql',
        name: 'siirays',
        ts_ms: '1700000000123',
        snapshot: 'false',
        db: 'siirays2019',
        schema: 'público',
        table: 't',
        txId: '4294967295',
        lsn: String(0x16b374d848n),
        commit_lsn: '9223372036854775807',
      },
      op: 'c',
      ts_ms: '1700000000456',
      transaction: { id: TRANSACTION.id, total_order: '7', data_collection_order: '3' },
    });
  });

  test('of a chunk name no transaction id, and LSNs beyond 2^53 are exact', async () => {
    const shape = shapeWith([['id', 'integer']], [0]);
    const place = { ...PLACE, lsnHigh: 0x7fff_ffff, lsnLow: 0xffff_fffe };
    const chunk = { ...TRANSACTION, id: 'chunk:1:2', txId: null, snapshot: true };
    const encoded = encoderOf(shape).encode('r', null, tuple(['1']), chunk, place);
    const { source } = byAvsc(shape, 'value', encoded.value) as { source: Record<string, unknown> };
    assert.deepEqual([source.txId, source.lsn, source.snapshot], [null, 0x7fff_ffff_ffff_fffen, 'true']);
    assert.equal((await decode(shape, encoded)).op, 'r');
  });

  test('name unchanged values in a header, and only that is believed', async () => {
    const shape = shapeWith(
      [
        ['id', 'integer'],
        ['a', 'text'],
        ['b', 'text'],
      ],
      [0],
    );
    const unchanged = encoderOf(shape).encode('u', null, tuple(['1', undefined, 'x']), TRANSACTION, PLACE);
    assert.equal(String(unchanged.headers.unchanged), '["a"]');
    assert.deepEqual((await decode(shape, unchanged)).after, ['1', UNCHANGED, 'x']);
    const read = byAvsc(shape, 'value', unchanged.value) as { after: Record<string, unknown> };
    assert.equal(read.after.a, '__debezium_unavailable_value');

    const alike = encoderOf(shape).encode(
      'u',
      null,
      tuple(['1', '__debezium_unavailable_value', 'x']),
      TRANSACTION,
      PLACE,
    );
    assert.equal(alike.headers.unchanged, undefined);
    assert.deepEqual((await decode(shape, alike)).after, ['1', '__debezium_unavailable_value', 'x']);
  });

  test('have the key of the row as it is afterwards, of the old row where it is gone, of the whole row without one', () => {
    const columns: [string, string][] = [
      ['id', 'integer'],
      ['b', 'text'],
    ];
    const keyed = encoderOf(shapeWith(columns, [0]));
    const bare = encoderOf(shapeWith(columns, []));
    const key = (op: Op, before: string[] | null, after: string[] | null, encoder = keyed) => {
      const { key: bytes } = encoder.encode(op, before && tuple(before), after && tuple(after), TRANSACTION, PLACE);
      return bytes && { ...byAvsc(encoder.shape, 'key', bytes) };
    };
    assert.deepEqual(key('u', ['1', 'x'], ['2', 'y']), { id: 2 });
    assert.deepEqual(key('d', ['1', 'x'], null), { id: 1 });
    assert.deepEqual(key('t', null, null), null);
    assert.deepEqual(key('c', null, ['2', 'y'], bare), { id: 2, b: 'y' });
  });

  test('of a row with another number of columns are refused', () => {
    const encoder = encoderOf(shapeWith([['id', 'integer']], [0]));
    assert.throws(() => encoder.encode('c', null, tuple(['1', '2']), TRANSACTION, PLACE), RangeError);
  });

  test('that are none, or of a schema that is not there, are errors', async () => {
    const shape = shapeWith([['id', 'integer']], [0]);
    const { value, headers } = encoderOf(shape).encode('c', null, tuple(['1']), TRANSACTION, PLACE);
    await assert.rejects(async () => decode(shape, { key: null, value, headers: {} }), /not an event/);
    await assert.rejects(async () => decode(shape, { key: null, value: Buffer.from('{}'), headers }), /not an event/);
    await assert.rejects(async () => decode(shape, { key: null, value: value.subarray(0, 20), headers }), RangeError);
  });

  test('are decoded at once where the schema is known', async () => {
    const shape = shapeWith([['id', 'integer']], [0]);
    const reading = decoder(shape);
    const encoded = encoderOf(shape).encode('c', null, tuple(['1']), TRANSACTION, PLACE);
    const message = { ...encoded, offset: '0', timestamp: '0', attributes: 0 } as KafkaMessage;
    assert.ok(reading.decode(TOPIC, message) instanceof Promise);
    await reading.decode(TOPIC, message);
    assert.ok(!(reading.decode(TOPIC, message) instanceof Promise));
  });
});

describe('the shape of a table', () => {
  test('is read back from its schema', () => {
    const shape = shapeWith(ALL, [2, 0]);
    assert.deepEqual(shapeOf(tableSchemas(TOPIC, shape).value), shape);
    assert.throws(() => shapeOf('{"type":"record","name":"x","fields":[]}'), /not an envelope/);
  });

  test('has a fingerprint that tells names, types, key and order apart', () => {
    const shapes = [
      shapeWith(
        [
          ['a', 'integer'],
          ['b', 'text'],
        ],
        [0],
      ),
      shapeWith(
        [
          ['b', 'text'],
          ['a', 'integer'],
        ],
        [1],
      ),
      shapeWith(
        [
          ['a', 'integer'],
          ['b', 'text'],
        ],
        [1],
      ),
      shapeWith(
        [
          ['a', 'integer'],
          ['b', 'text'],
        ],
        [],
      ),
      shapeWith(
        [
          ['a', 'bigint'],
          ['b', 'text'],
        ],
        [0],
      ),
      shapeWith([['a', 'integer']], [0]),
    ];
    assert.equal(new Set(shapes.map((shape) => shape.fingerprint)).size, shapes.length);
  });
});

/** JavaScript's text of the same float: PostgreSQL's has two digits in the exponent, and fewer where four bytes do. */
function canonical(values: (string | null)[]): (string | null)[] {
  return values.map((value, i) => {
    if (value === null || (i !== 4 && i !== 5)) return value;
    return value === '-0' ? '-0' : String(i === 4 ? Math.fround(Number(value)) : Number(value));
  });
}

function bigAsText(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
