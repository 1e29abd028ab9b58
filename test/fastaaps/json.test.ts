import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readChangesetResult } from '../../src/fastaaps/changeset-result.ts';
import { IdList } from '../../src/fastaaps/id-list.ts';
import { JsonArrayError, readArray } from '../../src/fastaaps/json-array.ts';
import { memberTexts } from '../../src/fastaaps/json-text.ts';
import { NdjsonError, readLines } from '../../src/fastaaps/ndjson.ts';
import { readRefusal } from '../../src/fastaaps/refusal.ts';
import { retryAfterMs } from '../../src/fastaaps/retry-after.ts';
import type { DocumentEtag } from '../../src/fastaaps/types.ts';
import { createBackoff } from '../../src/retry/backoff.ts';
import { all } from './reference.ts';

/** The bytes in pieces of the given sizes, cut anywhere, also within a character. */
async function* pieces(text: string, sizes: number[]): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  let at = 0;
  for (let turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

const SIZES = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });
const SPACES = fc.constantFrom('', ' ', '\n\t ', '\r\n');

describe('JSON texts are cut without being read', () => {
  it('finds the members of any object, digits and all', () => {
    const text =
      ' { "a" : 12345678901234567890.120 , "b":{"c":[1,"}\\\\\\"{"]},"d":"x\\"y" ,"\\u0065" : -0.0e5,"a":[ ] } ';
    assert.deepEqual(
      [...memberTexts(text)],
      [
        ['a', '[ ]'],
        ['b', '{"c":[1,"}\\\\\\"{"]}'],
        ['d', '"x\\"y"'],
        ['e', '-0.0e5'],
      ],
    );
    assert.deepEqual([...memberTexts('{}')], []);
  });

  it('agrees with JSON.parse on random objects', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.constantFrom(0, 1, '\t'), (object, indent) => {
        const members = memberTexts(JSON.stringify(object, null, indent));
        const parsed = [...members].map(([name, text]) => [name, JSON.parse(text)] as const);
        assert.deepEqual(Object.fromEntries(parsed), JSON.parse(JSON.stringify(object)));
      }),
    );
  });

  it('reads arrays in any pieces', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue()), SIZES, SPACES, async (array, sizes, space) => {
        const elements = array.map((value) => JSON.stringify(value));
        const text = `${space}[${elements.map((one) => space + one + space).join(',')}${space}]${space}`;
        assert.deepEqual(await all(readArray(pieces(text, sizes))), elements);
      }),
    );
  });

  it('refuses what is no array, and elements over the limit', async () => {
    for (const text of ['', '{}', '[1,]', '[1', '[,1]', '[1]]', '1', '["a]', '[{]']) {
      await assert.rejects(all(readArray(pieces(text, [3]))), JsonArrayError, text);
    }
    await assert.rejects(all(readArray(pieces(`["${'x'.repeat(50)}"]`, [7]), 40)), { reason: 'size' });
    await assert.rejects(
      all(
        readArray(
          (async function* () {
            yield Buffer.from([0x5b, 0xff, 0x5d]);
          })(),
        ),
      ),
      { reason: 'syntax' },
    );
  });
});

describe('NDJSON', () => {
  it('gives lines in any pieces, with their numbers, passing over blank ones', async () => {
    const lines = await all(readLines(pieces('{"a":"ñ🚰"}\n\n \r\n{"b":2}', [1, 2, 3])));
    assert.deepEqual(lines, [
      { number: 1, text: '{"a":"ñ🚰"}' },
      { number: 4, text: '{"b":2}' },
    ]);
  });

  it('holds no more than one line, which has a limit', async () => {
    let taken = 0;
    async function* endless() {
      for (;;) {
        taken += 1;
        yield Buffer.alloc(1000, 0x61);
      }
    }
    await assert.rejects(
      all(readLines(endless(), 10_000)),
      (error) => error instanceof NdjsonError && error.reason === 'size',
    );
    assert.equal(taken, 11);
  });

  it('reads on only when a line is taken', async () => {
    let taken = 0;
    async function* source() {
      for (; taken < 1000; taken += 1) yield Buffer.from(`{"n":${taken}}\n`);
    }
    const lines = readLines(source());
    await lines.next();
    await lines.next();
    assert.ok(taken <= 2, `${taken} taken`);
    await lines.return(undefined);
  });
});

describe('the answer to a changeset', () => {
  it('is read in any pieces, whatever else it holds', async () => {
    const etags = Object.fromEntries(Array.from({ length: 50 }, (_, id) => [String(id), id % 7 ? `e"${id}` : null]));
    const text = JSON.stringify({
      note: { etags: { 1: 'no' }, list: [1, { applied: 9 }] },
      etags,
      ignored: 3,
      applied: 47,
    });
    await fc.assert(
      fc.asyncProperty(SIZES, async (sizes) => {
        const seen: DocumentEtag[] = [];
        const counts = await readChangesetResult(pieces(text, sizes), (some) => void seen.push(...some));
        assert.deepEqual(counts, { applied: 47, ignored: 3 });
        assert.deepEqual(Object.fromEntries(seen), etags);
      }),
      { numRuns: 20 },
    );
  });

  it('gives etags in portions', async () => {
    const etags = Object.fromEntries(Array.from({ length: 2500 }, (_, id) => [String(id), 'x']));
    const portions: number[] = [];
    const text = JSON.stringify({ applied: 2500, ignored: 0, etags });
    await readChangesetResult(pieces(text, [100]), (some) => void portions.push(some.length));
    assert.deepEqual(portions, [1000, 1000, 500]);
  });

  it('is refused where it is something else', async () => {
    for (const text of [
      '',
      '{}',
      '<html>',
      '{"applied":1}',
      '{"applied":1,"ignored":0,"etags":{"1":5}}',
      '{"applied":1,"ignored":0',
    ]) {
      await assert.rejects(
        readChangesetResult(pieces(text, [4]), () => undefined),
        SyntaxError,
        text,
      );
    }
  });
});

describe('back-off', () => {
  it('doubles up to the limit, with jitter, and starts again after a success', () => {
    const full = createBackoff({ minMs: 100, maxMs: 1000 }, () => 1);
    const half = createBackoff({ minMs: 100, maxMs: 1000 }, () => 0);
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6].map(() => full.next()),
      [100, 200, 400, 800, 1000, 1000],
    );
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6].map(() => half.next()),
      [50, 100, 200, 400, 500, 500],
    );
    full.reset();
    assert.equal(full.next(), 100);
  });

  it('waits as long as it is asked to, but not for ever', () => {
    const backoff = createBackoff({ minMs: 100, maxMs: 1000 }, () => 1);
    assert.equal(backoff.next(5000), 5000);
    assert.equal(backoff.next(86_400_000), 600_000);
  });

  it('reads Retry-After in seconds and as a date', () => {
    assert.equal(retryAfterMs('3'), 3000);
    assert.equal(retryAfterMs('Wed, 21 Oct 2015 07:28:10 GMT', Date.parse('2015-10-21T07:28:00Z')), 10_000);
    assert.equal(retryAfterMs('Wed, 21 Oct 2015 07:28:10 GMT'), 0);
    assert.equal(retryAfterMs('soon'), undefined);
    assert.equal(retryAfterMs(undefined), undefined);
  });
});

describe('a refusal (422)', () => {
  it('names documents by id, with the path of the first reason', () => {
    const detail = [
      { id: 1601, loc: ['document', 'tuberias', 2, 'localidad'], msg: 'Field required', type: 'missing' },
      { id: 1601, loc: ['document', 'x'], msg: 'no', type: 'x' },
      { id: 'a', loc: ['document'], msg: 'no', type: 'x' },
    ];
    const error = readRefusal(JSON.stringify({ detail }));
    assert.equal(error.kind, 'refused');
    assert.deepEqual(
      error.refused.map(({ id, path, detail: reasons }) => [id, path, reasons.length]),
      [
        ['1601', 'tuberias[2].localidad', 2],
        ['a', '', 1],
      ],
    );
  });

  it('maps places in the array to ids', () => {
    const ids = new IdList();
    for (let id = 0; id < 10_000; id += 1) ids.push(`id ${id}`);
    assert.equal(ids.length, 10_000);
    const detail = [0, 4095, 4096, 9999].map((place) => ({
      loc: ['body', place, 'sistemas_ap', 1],
      msg: 'no',
      type: 'x',
    }));
    const error = readRefusal(JSON.stringify({ detail }), (place) => ids.at(place));
    assert.deepEqual(
      error.refused.map(({ id, path }) => [id, path]),
      [0, 4095, 4096, 9999].map((place) => [`id ${place}`, 'sistemas_ap[1]']),
    );
  });

  it('is a wrong setting where it names no document', () => {
    const detail = [{ loc: ['query', 'db_tag'], msg: 'Field required', type: 'missing' }];
    assert.equal(readRefusal(JSON.stringify({ detail })).kind, 'configuration');
    assert.equal(readRefusal('<html>').kind, 'configuration');
    assert.equal(readRefusal('{"detail":"no"}').kind, 'configuration');
  });
});
