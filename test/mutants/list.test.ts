import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { MUTANTS } from '../../mutants/list.ts';
import { applyMutant } from '../../mutants/mutant.ts';

describe('the list of mutants', () => {
  test('has at least 60, each with a name of its own', () => {
    assert.ok(MUTANTS.length >= 60, `${MUTANTS.length}`);
    assert.equal(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length);
  });

  for (const mutant of MUTANTS) {
    test(`${mutant.name} is still to be found, and has tests`, () => {
      const text = readFileSync(mutant.file, 'utf8');
      assert.notEqual(applyMutant(text, mutant), text);
      assert.ok(mutant.tests.length > 0);
      for (const file of mutant.tests) assert.ok(existsSync(file), file);
    });
  }

  test('a guard that is not there, or there twice, is told', () => {
    const mutant = { ...MUTANTS[0]!, find: 'b', replace: '' };
    assert.throws(() => applyMutant('a', mutant), /not in .* any more/);
    assert.throws(() => applyMutant('b b', mutant), /more than once/);
    assert.equal(applyMutant('abc', mutant), 'ac');
  });
});
