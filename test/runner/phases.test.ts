import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { kindOf, phasesOf } from './phases.ts';

describe('the kind of a test file', () => {
  it('is its suffix', () => {
    assert.equal(kindOf('test/a.test.ts'), 'unit');
    assert.equal(kindOf('test/a.pg.test.ts'), 'pg');
    assert.equal(kindOf('test/a.e2e.test.ts'), 'e2e');
    assert.equal(kindOf('test/a.all.test.ts'), 'all');
    assert.equal(kindOf('test/support/postgres.ts'), undefined);
  });
});

describe('the phases of a run', () => {
  it('begin with types and lint', () => {
    const names = phasesOf(false, []).map(({ name }) => name);
    assert.deepEqual(names.slice(0, 3), ['types', 'lint', 'unit']);
  });

  it('are only those with tests of the wanted names, without types and lint', () => {
    assert.deepEqual(
      phasesOf(true, ['runner/phases']).map(({ name }) => name),
      ['unit'],
    );
  });

  it('hold each test file once', () => {
    const files = phasesOf(true, []).flatMap(({ args }) => args.filter((arg) => arg.endsWith('.test.ts')));
    assert.ok(files.length > 0);
    assert.equal(new Set(files).size, files.length);
  });
});
