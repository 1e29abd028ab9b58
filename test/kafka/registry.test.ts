import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import { createRegistry } from '../../src/kafka/registry.ts';

/** A registry whose answers to registrations the test gives; null is one that never comes. */
describe('the registry client', () => {
  const answers: ({ status: number; body: object } | null)[] = [];
  const hanging: ServerResponse[] = [];
  let compatibilityLevel = 'BACKWARD';
  let held: { subjects: string[]; ids: number[] } | undefined;
  let server: Server;
  let url: string;

  before(async () => {
    server = createServer((request, response) => {
      request.resume();
      response.setHeader('content-type', 'application/json');
      if (request.method === 'PUT') compatibilityLevel = 'BACKWARD';
      if (held && request.url === '/subjects') {
        response.end(JSON.stringify(held.subjects));
        return;
      }
      if (held && request.url?.startsWith('/schemas/ids/')) {
        const there = held.ids.includes(Number(request.url.split('/').at(-1)));
        response.writeHead(there ? 200 : 404).end(JSON.stringify({ schema }));
        return;
      }
      if (request.method !== 'POST') {
        response.end(JSON.stringify({ compatibilityLevel }));
        return;
      }
      const answer = answers.shift();
      if (answer) response.writeHead(answer.status).end(JSON.stringify(answer.body));
      else hanging.push(response);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  beforeEach(() => answers.splice(0));

  after(() => {
    server.closeAllConnections();
    server.close();
  });

  const schema = JSON.stringify({ type: 'record', name: 'r', fields: [{ name: 'a', type: 'string' }] });

  it('asks again for a registration whose answer does not come', async () => {
    const registry = createRegistry({ url }, { answerMs: 100 });
    answers.push(null, { status: 200, body: { id: 7 } });
    assert.equal(await registry.register('a-value', schema), 7);
    await registry.close();
  });

  it('gives up at last, and says that the answer did not come', async () => {
    const registry = createRegistry({ url }, { answerMs: 50 });
    answers.push(null, null, null, { status: 200, body: { id: 7 } });
    await assert.rejects(registry.register('b-value', schema), /Timeout \(50ms\)/);
    await registry.close();
  });

  it('goes on where it was killed between registering a subject and setting how it may evolve', async () => {
    const registry = createRegistry({ url });
    compatibilityLevel = 'NONE';
    answers.push({ status: 200, body: { id: 8 } });
    assert.equal(await registry.register('d-value', schema), 8);
    assert.equal(compatibilityLevel, 'BACKWARD');
    compatibilityLevel = 'FULL';
    await assert.rejects(registry.register('e-value', schema), /FULL/, 'what somebody has set is left to them');
    compatibilityLevel = 'BACKWARD';
    await registry.close();
  });

  it('does not repeat what the registry refuses', async () => {
    const registry = createRegistry({ url });
    answers.push({ status: 422, body: { message: 'no schema' } }, { status: 200, body: { id: 7 } });
    await assert.rejects(registry.register('c-value', schema), /no schema/);
    assert.equal(answers.length, 1);
    await registry.close();
  });

  it('tells what the registry lost: subjects that are gone, or the newest schema of a restored one', async () => {
    const registry = createRegistry({ url });
    held = { subjects: [], ids: [] };
    assert.deepEqual(await registry.lost(), [], 'nothing was registered');
    answers.push({ status: 200, body: { id: 7 } }, { status: 200, body: { id: 9 } });
    await registry.register('f-value', schema);
    await registry.register('g-value', schema);
    held = { subjects: ['f-value', 'g-value', 'of another'], ids: [7, 9] };
    assert.deepEqual(await registry.lost(), []);
    held = { subjects: ['g-value'], ids: [7, 9] };
    assert.deepEqual(await registry.lost(), ['f-value']);
    held = { subjects: ['f-value', 'g-value'], ids: [7] };
    assert.deepEqual(await registry.lost(), ['g-value']);
    await registry.close();
  });

  it('registers what cannot read the last version all the same, tells so, and leaves the rule as it was', async () => {
    const registry = createRegistry({ url });
    answers.push({ status: 409, body: { message: 'incompatible' } }, { status: 200, body: { id: 9 } });
    let told = 0;
    assert.equal(await registry.register('f-value', schema, () => told++), 9);
    assert.deepEqual([told, compatibilityLevel, answers.length], [1, 'BACKWARD', 0]);
    await registry.close();
  });
});
