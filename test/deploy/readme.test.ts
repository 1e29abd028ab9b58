import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { PART_NAMES, USUAL_PORTS } from '../../embedded/stack/names.ts';
import { knownVariables } from '../../src/config/unknown-variables.ts';

const ROOT = join(import.meta.dirname, '../..');
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');

describe('README', () => {
  it('links to files that are there', () => {
    for (const [, target] of readme.matchAll(/\]\(([^):#]+)\)/g)) assert.ok(existsSync(join(ROOT, target!)), target);
  });

  it('names every part with its usual ports', () => {
    const rows = new Map([...readme.matchAll(/^\| `(\w+)` \| ([^|]+) \|/gm)].map((row) => [row[1]!, row[2]!]));
    for (const part of PART_NAMES) {
      const ports = Object.entries(USUAL_PORTS).filter(
        ([name]) => name === part || new RegExp(`^${part}[A-Z]`).test(name),
      );
      assert.deepEqual(
        rows.get(part)?.match(/\d+/g) ?? [],
        ports.map(([, port]) => String(port)),
        part,
      );
    }
  });

  it('names only variables that there are', () => {
    const others = ['POSTGRES', 'TRUNCATE', 'UPDATE', 'DELETE', 'SELECT', 'REPLICATION'];
    for (const [, name] of readme.matchAll(/`([A-Z]+_[A-Z_]+)(?:=[^`]*)?`/g)) {
      if (!others.includes(name!)) assert.ok(knownVariables().includes(name!), name);
    }
  });
});
