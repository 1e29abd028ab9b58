import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { collectionName, namePart, nameParts, ONE_OR_TWO_PARTS, ONE_PART } from '../../src/postgres/name-parts.ts';

const name = fc.string({ unit: fc.constantFrom('"', '.', 'a', 'ñ', ' ', '_'), minLength: 1, maxLength: 6 });

describe('names of tables and columns', () => {
  test('any two names are read back from the one that they make', () => {
    fc.assert(
      fc.property(name, name, (schema, table) => {
        const both = collectionName({ schema, table });
        assert.match(both, ONE_OR_TWO_PARTS);
        assert.deepEqual(nameParts(both), [schema, table]);
        assert.match(namePart(table), ONE_PART);
        assert.deepEqual(nameParts(namePart(table)), [table]);
      }),
      { numRuns: 2_000 },
    );
  });

  test('stay as they are where nothing is wrong with them', () => {
    assert.equal(collectionName({ schema: 'public', table: 'sistema_ap' }), 'public.sistema_ap');
    assert.deepEqual(nameParts('tipo "raro"'), ['tipo "raro"']);
  });

  test('a quotation mark that is not closed, and parts that are empty or too many, are none', () => {
    for (const wrong of ['"a', '"', 'a.b.c', '.a', 'a.', '', '"a"b']) assert.doesNotMatch(wrong, ONE_OR_TWO_PARTS);
  });
});
