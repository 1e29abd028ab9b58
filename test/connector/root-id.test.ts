import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isRootId } from '../../src/connector/root-id.ts';

const root = { schema: 'public', table: 'epsa', idColumn: 'id_epsa' };

describe('ids of roots', () => {
  test('of a whole number there is one text', () => {
    const connector = { root: { ...root, idType: 'integer' } } as const;
    for (const id of ['0', '7', '-7', '123456789012345678']) assert.ok(isRootId(connector, id), id);
    for (const id of ['', '007', '-0', '+7', '7.0', 'abc', ' 7', '1e3', '1234567890123456789']) {
      assert.ok(!isRootId(connector, id), id);
    }
  });

  test('texts are as they are', () => {
    assert.ok(isRootId({ root: { ...root, idType: 'text' } }, '007'));
  });
});
