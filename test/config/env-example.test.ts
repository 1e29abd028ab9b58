import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { renderEnvExample } from '../../src/config/env-example.ts';
import { knownVariables } from '../../src/config/unknown-variables.ts';
import { ALL_VARIABLES } from '../../src/config/variables.ts';

const file = readFileSync(join(import.meta.dirname, '../../.env.example'), 'utf8');

describe('.env.example', () => {
  it('names the same set of variables as the configuration', () => {
    const named = [...file.matchAll(/^#?([A-Z][A-Z0-9_]*)=/gm)].map((match) => match[1]);
    assert.deepEqual(named.toSorted(), knownVariables().toSorted());
  });

  it('gives each default as the configuration has it, and a meaning to each variable', () => {
    for (const [name, variable] of Object.entries(ALL_VARIABLES)) {
      const line = variable.default === undefined ? `#${name}=${variable.example}` : `${name}=${variable.default}`;
      assert.ok(file.includes(`\n${line}\n`), line);
      assert.ok(variable.meaning.length > 10, name);
    }
  });

  it('is what src/config/env-example.ts prints', () => {
    assert.equal(file, renderEnvExample());
  });

  it('has defaults that the configuration accepts', () => {
    for (const [name, { schema, default: text }] of Object.entries(ALL_VARIABLES)) {
      if (text !== undefined) assert.ok(schema.safeParse(text).success, name);
    }
  });
});
