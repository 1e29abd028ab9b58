import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { firstDifference } from '../../../src/reconciler/documents/json-difference.ts';
import { decimalValue, jsonText, parseJson, valueAt } from '../../../src/reconciler/documents/json-tree.ts';

describe('the first difference of two documents', () => {
  test('is none where they are equal by value', () => {
    const equal: [string | null, string | null][] = [
      [null, null],
      ['{"a":2.50,"b":[1e2,-0]}', '{ "b" : [100, 0.0], "a" : 25e-1 }'],
      ['"\\u00f1"', '"ñ"'],
      ['{"__proto__":1}', '{"__proto__":1.0}'],
      ['{"a":1,"a":2}', '{"a":2}'],
    ];
    for (const [left, right] of equal) assert.equal(firstDifference(left, right), null, `${left} and ${right}`);
  });

  test('is named by its place, with what is there on both sides', () => {
    const cases: [string | null, string | null, string | null, string | null, string | null][] = [
      ['{"a":1}', null, null, '{"a":1}', null],
      [null, '{"a":1}', null, null, '{"a":1}'],
      ['{"t":[{"l":"x"},{"l":"y","n":1}]}', '{"t":[{"l":"x"},{"n":1,"l":"z"}]}', 't[1].l', '"y"', '"z"'],
      ['{"t":["a","b"]}', '{"t":["b","a"]}', 't[0]', '"a"', '"b"'],
      ['{"t":["a"]}', '{"t":["a",{"n":2.50}]}', 't[1]', null, '{"n":2.50}'],
      ['{"a":{}}', '{"a":{"b":null}}', 'a.b', null, 'null'],
      ['{"a":"1"}', '{"a":1}', 'a', '"1"', '1'],
      ['{"a":[]}', '{"a":{}}', 'a', '[]', '{}'],
      ['{"a":9007199254740993}', '{"a":9007199254740992}', 'a', '9007199254740993', '9007199254740992'],
      ['{"a":0.1}', '{"a":0.10000000000000000001}', 'a', '0.1', '0.10000000000000000001'],
      ['{"__proto__":1}', '{}', '__proto__', '1', null],
    ];
    for (const [left, right, path, expected, actual] of cases) {
      assert.deepEqual(firstDifference(left, right), { path, expected, actual });
    }
  });

  test('is cut at 1,000 characters', () => {
    const found = firstDifference(JSON.stringify({ a: 'x'.repeat(5_000) }), '{}');
    assert.equal(found?.expected?.length, 1_000);
  });

  test('is found in whichever value was changed', () => {
    const json = fc.jsonValue({ maxDepth: 4 });
    fc.assert(
      fc.property(fc.array(json, { minLength: 1 }), json, fc.nat(), (list, other, at) => {
        const place = at % list.length;
        const changed = list.with(place, [other, 'and more']);
        const text = JSON.stringify({ list });
        assert.equal(firstDifference(text, jsonText(parseJson(text))), null);
        const found = firstDifference(text, JSON.stringify({ list: changed }));
        const path = firstDifference(JSON.stringify(list[place]), JSON.stringify(changed[place]));
        assert.equal(found === null, path === null);
        if (found) assert.ok(found.path?.startsWith(`list[${place}]`), `${found.path}`);
      }),
    );
  });

  test('decimal texts are compared by value', () => {
    const number = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer());
    fc.assert(
      fc.property(number, number, (left, right) => {
        assert.equal(decimalValue(String(left)) === decimalValue(String(right)), left === right);
        assert.equal(decimalValue(left.toExponential()), decimalValue(String(left)));
      }),
    );
    assert.equal(decimalValue('1e999999999999'), decimalValue('10e999999999998'));
  });

  test('a value is found by its path', () => {
    const tree = parseJson('{"tuberias":[{},{"localidad":"L"}]}');
    assert.equal(valueAt(tree, 'tuberias[1].localidad'), 'L');
    assert.equal(valueAt(tree, 'tuberias[0].localidad'), undefined);
    assert.equal(valueAt(tree, 'tuberias.localidad.x'), undefined);
  });
});
