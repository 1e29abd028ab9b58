import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explainError } from '../../src/observability/explain-error.ts';

test('a value of a row that PostgreSQL quotes is not told', () => {
  const error = Object.assign(new Error('"9999.5" is out of range for type double precision'), { code: '22003' });
  const told = explainError(new Error('the step failed', { cause: error }));
  assert.doesNotMatch(told, /9999/);
  assert.match(told, /out of range for type double precision/);
});
