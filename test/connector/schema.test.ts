import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { connectorJsonSchema, connectorJsonSchemaText, connectorSchema } from '../../src/connector/schema.ts';

const read = (name: string) => readFileSync(new URL(`../../connectors/${name}`, import.meta.url), 'utf8');

test('connectors/connector.schema.json is what the zod schema gives', () => {
  const message = 'run: siirays-sync connector schema > connectors/connector.schema.json';
  assert.equal(read('connector.schema.json'), connectorJsonSchemaText(), message);
});

test('the JSON Schema for editors and zod accept and refuse the same', () => {
  const accepts = new Ajv2020({ strict: false }).compile(connectorJsonSchema());
  const epsa = parse(read('epsa.yaml')) as { sections: Record<string, unknown>; target: object };
  const variants: [boolean, unknown][] = [
    [true, epsa],
    [false, { ...epsa, target: { ...epsa.target, adapter: 'other' } }],
    [false, { ...epsa, more: 1 }],
    [false, { ...epsa, sections: { x: { shape: 'list of text', rows: 'sistema_ap' } } }],
    [
      true,
      { ...epsa, sections: { x: { shape: 'list', rows: 'a.b', key: ['a'], by: { a: 'b' }, fields: { f: null } } } },
    ],
    [false, { ...epsa, sections: { x: { shape: 'list', rows: 'a', fields: { f: { typ: 'text' } } } } }],
    [false, { ...epsa, sections: { x: { shape: 'list', rows: 'a', sections: { y: { shape: 'list' } } } } }],
  ];
  for (const [right, variant] of variants) {
    assert.equal(accepts(variant), right, JSON.stringify(variant).slice(-120));
    assert.equal(connectorSchema.safeParse(variant).success, right, JSON.stringify(variant).slice(-120));
  }
});
