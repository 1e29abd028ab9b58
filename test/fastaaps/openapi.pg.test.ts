import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { call, document, header, post, remove, startReference, upsert } from './reference.ts';

const head = (version: number): string => `${JSON.stringify(header(version))}\n`;

interface Operation {
  responses: Record<string, { content?: Record<string, { schema: object }>; headers?: Record<string, object> }>;
  parameters?: { name: string; in: string }[];
}
interface Description {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: object };
}

const service = await startReference({ limits: { maxLineBytes: 5_000 } });
const description = (await (await fetch(`${service.url}/openapi.json`)).json()) as Description;
const seen = new Set<string>();

function operationOf(method: string, path: string): [string, Operation] {
  const plain = path.replace(/\?.*/, '');
  const templates = Object.keys(description.paths).sort(
    (left, right) => left.split('{').length - right.split('{').length,
  );
  for (const template of templates) {
    const pattern = new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`);
    const operation = description.paths[template]?.[method.toLowerCase()];
    if (operation && pattern.test(plain)) return [template, operation];
  }
  assert.fail(`${method} ${path} is not described`);
}

/** Holds one real answer against the description. */
async function check(method: string, path: string, response: Response): Promise<void> {
  const [template, { responses }] = operationOf(method, path);
  const described = responses[String(response.status)];
  assert.ok(described, `${method} ${template} does not describe ${response.status}`);
  seen.add(`${method} ${template} ${response.status}`);
  const type = (response.headers.get('content-type') ?? '').split(';')[0] ?? '';
  const schema = described.content?.[type]?.schema;
  assert.ok(schema, `${method} ${template} ${response.status} does not describe ${type}`);
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  const validate = ajv.compile({ ...schema, components: description.components });
  const text = await response.text();
  const bodies = type === 'application/x-ndjson' ? text.trim().split('\n') : [text];
  for (const body of bodies) {
    assert.ok(
      validate(JSON.parse(body)),
      `${method} ${path} ${response.status}: ${ajv.errorsText(validate.errors)} ${body}`,
    );
  }
  for (const name of Object.keys(described.headers ?? {})) {
    const optional = name === 'FASTAAPS-Position';
    assert.ok(optional || response.headers.has(name), `${name} of ${method} ${path} ${response.status}`);
  }
}

describe('OpenAPI', () => {
  it('is 3.1 and described by itself', () => {
    assert.equal(description.openapi, '3.1.0');
    for (const [template, operations] of Object.entries(description.paths)) {
      const names = [...template.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      for (const { parameters = [] } of Object.values(operations)) {
        assert.deepEqual(
          parameters.filter((one) => one.in === 'path').map((one) => one.name),
          names,
          template,
        );
      }
    }
    const references = JSON.stringify(description).matchAll(/"#\/components\/schemas\/(\w+)"/g);
    for (const [, name] of references) assert.ok(name && name in description.components.schemas, name);
  });

  it('describes every real answer', async () => {
    const get = async (path: string): Promise<void> => check('GET', path, await call(service.url, path));
    const send = async (lines: string[], path = '/registro/changes?db_tag=sync'): Promise<void> =>
      check('POST', path, await post(service.url, lines, path));
    const restore = async (body: string, type = 'application/json', path = '/registro/restore?db_tag=backup') => {
      const init = { method: 'POST', body, headers: { 'content-type': type } };
      await check('POST', path, await call(service.url, path, init));
    };
    await get('/registro/position?db_tag=sync');
    await send([head(1), upsert(1, 1), remove(2, 1)]);
    await send([head(1), upsert(1, 1)]);
    await send([head(1), upsert(1, 1, '{"x":1}')]);
    await send([head(1), upsert(1, 1, document(1, '\u0000'))]);
    await send(['{}']);
    await send([head(1), upsert(1, 1, document(1, 'x'.repeat(5_000)))]);
    await send([head(1)], '/registro/changes');
    await restore(`[${document(1, 'a')}]`);
    await restore('[{}]');
    await restore('[');
    await restore('[]', 'text/plain');
    await restore(`[${document(1, 'x'.repeat(5_000))}]`);
    for (const name of ['', 'position', 'versions', '1', '99']) {
      await get(`/registro/${name}?db_tag=sync`);
      await get(`/registro/${name}`);
      const path = `/registro/${name}?db_tag=sync`;
      await check('GET', path, await fetch(service.url + path));
    }
    await get('/healthz');
    for (const name of ['changes', 'restore']) {
      const path = `/registro/${name}?db_tag=sync`;
      await check('POST', path, await fetch(service.url + path, { method: 'POST' }));
    }
    const type = { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain' } };
    await check('POST', '/registro/changes', await call(service.url, '/registro/changes?db_tag=sync', type));
  });

  it('describes nothing that does not happen', () => {
    const described = Object.entries(description.paths).flatMap(([template, operations]) =>
      Object.entries(operations).flatMap(([method, { responses }]) =>
        Object.keys(responses).map((status) => `${method.toUpperCase()} ${template} ${status}`),
      ),
    );
    const unseen = described.filter((one) => !seen.has(one) && !one.endsWith(' 503'));
    assert.deepEqual(unseen, []);
  });
});
