import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import avro from 'avsc';
import fc from 'fast-check';
import { AvroBytes, AvroReader } from '../../src/kafka/avro-bytes.ts';
import { bigLongs } from './avro-long.ts';

const long = avro.Type.forSchema('long', { registry: { long: bigLongs } });
const string = avro.Type.forSchema('string');
const float = avro.Type.forSchema('float');
const double = avro.Type.forSchema('double');

function written(write: (out: AvroBytes) => void): Buffer {
  const out = new AvroBytes();
  write(out);
  return Buffer.from(out.cut());
}

const int64 = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 51n, 2n ** 52n - 1n, 2n ** 52n, -(2n ** 52n), 2n ** 53n),
);

describe("Avro's bytes", () => {
  test('64-bit integers are those of the avsc library, and are read back digit by digit', () => {
    fc.assert(
      fc.property(int64, (value) => {
        const expected = long.toBuffer(value);
        assert.deepEqual(
          written((out) => out.bigLong(value)),
          expected,
        );
        assert.equal(new AvroReader(expected).longText(), String(value));
      }),
    );
  });

  test('so are numbers that JavaScript holds exactly', () => {
    const safe = fc.oneof(
      fc.maxSafeInteger(),
      fc.integer(),
      fc.constantFrom(2 ** 30, 2 ** 31, -(2 ** 31), 2 ** 51, 2 ** 52, -(2 ** 52), 2 ** 53 - 1, 1 - 2 ** 53),
    );
    fc.assert(
      fc.property(safe, (value) => {
        const bytes = written((out) => out.long(value));
        assert.deepEqual(bytes, long.toBuffer(BigInt(value)));
        assert.equal(new AvroReader(bytes).longText(), String(value));
        if (Math.abs(value) < 2 ** 51) assert.equal(new AvroReader(bytes).long(), value);
      }),
    );
  });

  test('a number that JavaScript does not hold exactly is refused, not rounded', () => {
    assert.throws(() => new AvroReader(long.toBuffer(2n ** 62n)).long(), RangeError);
  });

  test('texts and floats are those of the library', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.float(), fc.double(), (text, single, twice) => {
        const bytes = written((out) => out.string(text));
        assert.deepEqual(bytes, string.toBuffer(text));
        assert.equal(new AvroReader(bytes).string(), text.toWellFormed());
        const source = Buffer.from(`..${text}..`);
        assert.deepEqual(
          written((out) => out.bytes(source, 2, source.length - 2)),
          bytes,
        );
        const small = written((out) => out.float(single));
        const large = written((out) => out.double(twice));
        assert.deepEqual([small, large], [float.toBuffer(single), double.toBuffer(twice)]);
        assert.ok(Object.is(new AvroReader(small).float(), single));
        assert.ok(Object.is(new AvroReader(large).double(), twice));
      }),
    );
  });

  test('values cut from one writer keep what they are, however large and however many', () => {
    const texts = fc.array(
      fc.oneof(
        fc.string({ maxLength: 40 }),
        fc.integer({ min: 0, max: 700_000 }).map((n) => 'x'.repeat(n)),
      ),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(texts, (values) => {
        const out = new AvroBytes();
        const cuts = values.map((text) => {
          out.string(text.slice(0, text.length / 2));
          out.string(text);
          return out.cut();
        });
        cuts.forEach((cut, i) => {
          const reader = new AvroReader(cut);
          assert.equal(reader.string(), values[i]!.slice(0, values[i]!.length / 2));
          assert.equal(reader.string(), values[i]);
          assert.throws(() => reader.boolean(), RangeError);
        });
      }),
      { numRuns: 40 },
    );
  });
});
