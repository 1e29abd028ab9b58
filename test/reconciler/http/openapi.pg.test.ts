import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { RunRecorder } from '../../../src/reconciler/types.ts';
import { until } from '../../support/until.ts';
import { type CallInit, startApi } from './api-rig.ts';

interface Operation {
  operationId: string;
  summary: string;
  responses: Record<string, { content?: Record<string, { schema: object }>; headers?: Record<string, object> }>;
  parameters: { name: string; in: string; required: boolean; schema: object }[];
  requestBody?: { content: Record<string, { schema: object }> };
}
interface Description {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
}

const { rig, url, call } = await startApi();
const description = (await (await call('GET', '/openapi.json')).json()) as Description;
const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
const seen = new Set<string>();

function operationOf(method: string, path: string): [string, Operation] {
  const plain = path.replace(/\?.*/, '');
  const templates = Object.keys(description.paths).sort((a, b) => a.split('{').length - b.split('{').length);
  for (const template of templates) {
    const pattern = new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`);
    const operation = description.paths[template]?.[method.toLowerCase()];
    if (operation && pattern.test(plain)) return [template, operation];
  }
  assert.fail(`${method} ${path} is not described`);
}

function valid(schema: object, text: string, what: string): void {
  const validate = ajv.compile({ ...schema, components: description.components });
  assert.ok(validate(JSON.parse(text)), `${what}: ${ajv.errorsText(validate.errors)} ${text}`);
}

/** Asks, and holds the answer against the description. */
async function check(method: string, path: string, status: number, init: CallInit = {}): Promise<unknown> {
  const gone = new AbortController();
  const response = await call(method, path, { signal: gone.signal, ...init });
  const [template, { responses }] = operationOf(method, path);
  const what = `${method} ${template} ${response.status}`;
  assert.equal(response.status, status, `${what}: ${response.status === status ? '' : await response.text()}`);
  const described = responses[String(status)];
  assert.ok(described, `${what} is not described`);
  const type = (response.headers.get('content-type') ?? '').split(';')[0]!;
  seen.add(`${method} ${template} ${status} ${type}`);
  for (const name of Object.keys(described.headers ?? {})) {
    assert.ok(name === 'Link' || response.headers.has(name), `${what} has no header ${name}`);
  }
  if (type === 'text/event-stream') {
    gone.abort();
    return undefined;
  }
  const text = await response.text();
  if (described.content === undefined) {
    assert.equal(text, '', what);
    return undefined;
  }
  const schema = described.content[type]?.schema;
  assert.ok(schema, `${what} does not describe ${type}`);
  const bodies = type === 'application/x-ndjson' ? text.trim().split('\n') : [text];
  for (const body of bodies) valid(schema, body, what);
  return type === 'application/x-ndjson' ? undefined : JSON.parse(text);
}

function everyOperation(): [string, string, Operation][] {
  return Object.entries(description.paths).flatMap(([template, operations]) =>
    Object.entries(operations).map(([method, one]): [string, string, Operation] => [
      method.toUpperCase(),
      template,
      one,
    ]),
  );
}

async function ended(id: string): Promise<void> {
  await until(async () => (await rig.store.get(id))?.endedAt != null, 'the run to end');
}

describe('OpenAPI', () => {
  it('is 3.1, and whole in itself', () => {
    assert.equal(description.openapi, '3.1.0');
    const ids = everyOperation().map(([, , { operationId }]) => operationId);
    assert.equal(new Set(ids).size, ids.length);
    for (const [method, template, { parameters, summary }] of everyOperation()) {
      const names = [...template.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
      assert.deepEqual(
        parameters.filter((one) => one.in === 'path').map((one) => one.name),
        names,
      );
      assert.ok(summary, `${method} ${template}`);
    }
    for (const [, name] of JSON.stringify(description).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      assert.ok(name && name in description.components.schemas, name);
    }
    const limit = description.paths['/reconciliations']!.get!.parameters.find(({ name }) => name === 'limit')!;
    assert.deepEqual(limit.schema, { type: 'integer', minimum: 1, maximum: 1000 });
  });

  it('describes every answer of runs', async () => {
    const waiting = rig.work;
    rig.work = async (recorder: RunRecorder) => {
      const common = { connector: 'epsa', documents: ['1'], wrong: 'replica', outcome: 'found', reason: null } as const;
      await recorder.differences([
        {
          ...common,
          kind: 'row',
          table: 'public.rar',
          key: { id: '1' },
          path: 'a',
          expected: 'x',
          actual: null,
          since: '0/1',
        },
        { ...common, kind: 'document', table: null, key: null, path: null, expected: null, actual: '{}', since: null },
      ]);
      recorder.note('a note');
      recorder.position(2, '0/16B3748');
      return { state: 'differences' };
    };
    const headers = { 'idempotency-key': randomUUID() };
    const json = { mode: 'verify', connector: 'epsa' };
    const { id } = (await check('POST', '/reconciliations', 202, { json, headers })) as { id: string };
    await check('POST', '/reconciliations', 200, { json, headers });
    await check('POST', '/reconciliations', 422, { json: {}, headers });
    await ended(id);
    await check('POST', '/reconciliations', 409, { json: { resume: id } });
    await check('POST', '/reconciliations', 400, { json: { modus: 1 } });
    await check('POST', '/reconciliations', 413, { json: { ids: ['x'.repeat(1_000_000)] } });
    await check('POST', '/reconciliations', 415, { body: 'x', headers: { 'content-type': 'text/plain' } });
    await check('GET', '/reconciliations?limit=1', 200);
    await check('GET', `/reconciliations/${id}`, 200);
    await check('GET', `/reconciliations/${id}/differences?limit=1`, 200);
    await check('GET', `/reconciliations/${id}/differences`, 200, { headers: { accept: 'application/x-ndjson' } });
    await check('GET', `/reconciliations/${id}/differences`, 406, { headers: { accept: 'text/html' } });
    await check('GET', `/reconciliations/${id}/events`, 200);
    await check('GET', `/reconciliations/${id}/events`, 204, { headers: { 'last-event-id': 'end' } });
    await check('DELETE', `/reconciliations/${id}`, 200);
    for (const rest of ['', '/differences', '/events']) await check('GET', `/reconciliations/x${rest}`, 404);
    await check('DELETE', '/reconciliations/x', 404);

    rig.work = async () => {
      throw new Error('a failure');
    };
    const failed = (await check('POST', '/reconciliations', 202, { json: {} })) as { id: string };
    await ended(failed.id);
    const run = (await check('GET', `/reconciliations/${failed.id}`, 200)) as { error: { message: string } };
    assert.equal(run.error.message, 'a failure');

    rig.work = waiting;
    const running = (await check('POST', '/reconciliations', 202, { json: {} })) as { id: string };
    await check('POST', '/reconciliations', 409, { json: {} });
    await until(async () => (await rig.store.get(running.id))?.state === 'running', 'the run to begin');
    await check('GET', '/status', 200);
    await check('DELETE', `/reconciliations/${running.id}`, 202);
    await ended(running.id);
  });

  it('describes every answer of documents, connectors and positions', async () => {
    await rig.addDocument('1', '{"a":1}');
    await rig.addDocument('1', null, 2);
    await rig.addDeadLetter('1');
    await rig.store.proven('epsa', ['1'], randomUUID());
    await check('GET', '/documents/1', 200);
    await check('GET', '/documents/1/versions', 200);
    await check('GET', '/dead-letters', 200);
    await check('GET', '/dead-letters?reason=refused&since=2026-11-25T09:00:00Z', 200);
    await check('GET', '/dead-letters/1', 200);
    await check('POST', '/dead-letters/replay', 202);
    await check('POST', '/dead-letters/1/replay', 202);
    await check('DELETE', '/dead-letters/1', 200);
    await check('GET', '/documents/1', 200);
    await check('GET', '/connectors', 200);
    await rig.delivered(2, '0/16B3748');
    rig.scheduled = [
      { name: 'nightly', cron: '0 3 * * *', timezone: 'UTC', at: 1_700_000_000_000 },
      { name: 'never', cron: 'off', timezone: 'UTC', at: null },
    ];
    await check('GET', '/status', 200);
    await check('POST', '/connectors/epsa/pause', 200);
    await check('POST', '/connectors/epsa/resume', 200);
    await check('GET', '/audit?limit=2', 200);
    await check('GET', '/events', 200);
    await check('GET', '/positions/2/0%2F1', 200);
    await check('GET', '/positions/1/0%2F1', 410);
    await check('GET', '/positions/2/1%2F1?timeout=0', 504);
    await check('GET', '/positions/2/1%2F1?connector=places', 404);
    for (const path of ['/documents/0', '/documents/0/versions', '/dead-letters?connector=places']) {
      await check('GET', path, 404);
    }
    await check('POST', '/dead-letters/replay?connector=places', 404);
    await check('POST', '/dead-letters/0/replay', 404);
    await check('DELETE', '/dead-letters/0', 404);
    await check('GET', '/dead-letters/0', 404);
    for (const verb of ['pause', 'resume']) await check('POST', `/connectors/places/${verb}`, 404);
  });

  it('describes what every operation refuses', async () => {
    for (const [method, template] of everyOperation()) {
      const path = template.replaceAll(/\{\w+\}/g, '1');
      await check(method, `${path}?unknown=1`, 400);
      await check(method, path, 401, { headers: { authorization: 'none' } });
      if (method !== 'GET') await check(method, path, 403, { user: 'vera' });
    }
    for (let i = 0; i < 5; i++)
      await fetch(`${url}/api/v1/`, { headers: { authorization: `Basic ${btoa(`x${i}:x`)}` } });
    for (const [method, template] of everyOperation()) {
      const path = template.replaceAll(/\{\w+\}/g, '1');
      await check(method, path, 429, { headers: { authorization: `Basic ${btoa('x0:x')}` } });
    }
  });

  it('describes the body that is taken', () => {
    const { schema } = description.paths['/reconciliations']!.post!.requestBody!.content['application/json']!;
    const whole = { mode: 'verify', connector: ['epsa'], ids: [1, '2'], maxTime: '10m', stopAfter: 1, direct: true };
    for (const body of [{}, whole, { connector: 'epsa', maxTime: 5 }]) valid(schema, JSON.stringify(body), 'the body');
    assert.throws(() => valid(schema, '{"modus":1}', 'the body'));
  });

  it('describes nothing that does not happen', () => {
    const described = everyOperation().flatMap(([method, template, { responses }]) =>
      Object.entries(responses).flatMap(([status, { content = { '': {} } }]) =>
        Object.keys(content).map((type) => `${method} ${template} ${status} ${type}`),
      ),
    );
    const unseen = described.filter((one) => !seen.has(one) && !/ 50[03] /.test(one));
    assert.deepEqual(unseen, []);
  });
});
