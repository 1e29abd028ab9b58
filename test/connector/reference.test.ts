import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { connectorReference } from '../../src/connector/reference.ts';

const DOCS = new URL('../../docs/connectors.md', import.meta.url);
const KEYS = /(<!-- keys -->\n)[\s\S]*(<!-- end of keys -->)/;

/** UPDATE_DOCS=1 writes the part instead of comparing it. */
test('docs/connectors.md explains every key as the schema does', () => {
  const docs = readFileSync(DOCS, 'utf8');
  const current = docs.replace(KEYS, (_, start: string, end: string) => `${start}\n${connectorReference()}\n\n${end}`);
  if (process.env.UPDATE_DOCS === '1') writeFileSync(DOCS, current);
  else
    assert.equal(
      unaligned(docs),
      unaligned(current),
      'run: UPDATE_DOCS=1 node --test test/connector/reference.test.ts',
    );
});

/** The formatter aligns tables. */
function unaligned(markdown: string): string {
  return markdown.replaceAll(/ *\| */g, '|').replaceAll(/-{3,}/g, '---');
}
