import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, describe, it } from 'node:test';
import express from 'express';
import { startApiServer } from '../../../src/reconciler/http/api-server.ts';
import type { ApiServices } from '../../../src/reconciler/http/services.ts';
import { authorization, caller, connector, LOG, USERS } from './api-rig.ts';

const pages = express.Router().get('/', (_request, response) => void response.type('html').send('<p>console'));
const services = { connectors: [connector('epsa')] } as unknown as ApiServices;
const server = await startApiServer(services, { host: '127.0.0.1', port: 0, users: USERS, log: LOG, pages });
after(() => server.close());
const url = `http://127.0.0.1:${server.port}`;
const call = caller(url);

async function problem(response: Response): Promise<Record<string, unknown>> {
  assert.equal(response.headers.get('content-type'), 'application/problem+json; charset=utf-8');
  const body = (await response.json()) as Record<string, unknown>;
  assert.equal(body.status, response.status);
  for (const name of ['type', 'title', 'detail']) assert.equal(typeof body[name], 'string', name);
  return body;
}

describe('a request', () => {
  it('to an unknown path: 404', async () => {
    for (const path of ['/nothing', '/', '/reconciliations/', '/Reconciliations', '/reconciliations/a/b/c']) {
      const response = await call('GET', path);
      assert.equal(response.status, 404, path);
      await problem(response);
    }
  });

  it('with a wrong method: 405, and which there are', async () => {
    for (const [method, path, allow] of [
      ['PUT', '/reconciliations', 'POST, GET, HEAD, OPTIONS'],
      ['POST', '/status', 'GET, HEAD, OPTIONS'],
      ['PATCH', '/reconciliations/x', 'GET, HEAD, DELETE, OPTIONS'],
      ['DELETE', '/openapi.json', 'GET, HEAD, OPTIONS'],
      ['PUT', '/dead-letters/replay', 'GET, HEAD, POST, DELETE, OPTIONS'],
      ['PUT', '/positions/1/0/1', 'GET, HEAD, OPTIONS'],
    ] as const) {
      const response = await call(method, path);
      assert.equal(response.status, 405, path);
      assert.equal(response.headers.get('allow'), allow);
      await problem(response);
    }
    const options = await call('OPTIONS', '/status');
    assert.deepEqual([options.status, options.headers.get('allow')], [204, 'GET, HEAD, OPTIONS']);
  });

  it('with another content type: 415', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/problem+json']) {
      const response = await call('POST', '/reconciliations', { body: '{}', headers: { 'content-type': type } });
      assert.equal(response.status, 415, type);
      await problem(response);
    }
    const coded = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    assert.equal((await call('POST', '/reconciliations', { body: '{}', headers: coded })).status, 415);
    const latin = { 'content-type': 'application/json; charset=iso-8859-1' };
    assert.equal((await call('POST', '/reconciliations', { body: '{}', headers: latin })).status, 415);
  });

  it('with too much: 413', async () => {
    const response = await call('POST', '/reconciliations', { json: { ids: ['x'.repeat(1_000_000)] } });
    assert.equal(response.status, 413);
    await problem(response);
  });

  it('with too much of unknown length: 413, before it has ended', async () => {
    const socket = connect(server.port, '127.0.0.1');
    socket.write(
      `POST /api/v1/reconciliations HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization('olga')}\r\n` +
        'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    const part = 'x'.repeat(100_000);
    for (let i = 0; i < 12; i++) socket.write(`${part.length.toString(16)}\r\n${part}\r\n`);
    const [data] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    assert.match(data.toString(), /^HTTP\/1\.1 413 /);
  });

  it('with malformed JSON: 400', async () => {
    const headers = { 'content-type': 'application/json' };
    for (const body of ['{', '{"mode":}', 'nothing']) {
      const response = await call('POST', '/reconciliations', { body, headers });
      assert.equal(response.status, 400);
      assert.equal((await problem(response)).type, 'urn:siirays-sync:problem:malformed-json');
    }
    for (const body of ['[]', '"x"', '1', 'null']) {
      assert.equal((await call('POST', '/reconciliations', { body, headers })).status, 400, body);
    }
  });

  it('with wrong parameters of the query: 400, naming each', async () => {
    const { errors } = (await problem(
      await call('GET', '/reconciliations?limit=0&mode=verfiy&statte=equal&limitt=1'),
    )) as {
      errors: { parameter: string; detail: string }[];
    };
    assert.deepEqual(errors.map(({ parameter }) => parameter).sort(), ['limit', 'limitt', 'mode', 'statte']);
    assert.match(errors.find(({ parameter }) => parameter === 'mode')!.detail, /did you mean verify\?/);
    assert.match(errors.find(({ parameter }) => parameter === 'statte')!.detail, /did you mean state\?/);
    for (const query of ['limit=1001', 'limit=1e2', 'limit=', 'limit=1&limit=2', 'limit=-1']) {
      assert.equal((await call('GET', `/audit?${query}`)).status, 400, query);
    }
  });

  it('whose path cannot be decoded: 400', async () => {
    assert.equal((await call('GET', '/documents/%ff')).status, 400);
  });
});

describe('every answer', () => {
  it('has strict headers, pages too', async () => {
    const page = await fetch(url, { headers: { authorization: authorization('vera') } });
    assert.equal(await page.text(), '<p>console');
    for (const response of [
      page,
      await call('GET', '/openapi.json'),
      await call('GET', '/nothing'),
      await fetch(url),
    ]) {
      assert.equal(response.headers.get('cache-control'), 'no-store');
      assert.equal(response.headers.get('x-content-type-options'), 'nosniff');
      assert.equal(response.headers.get('x-powered-by'), null);
      const policy = response.headers.get('content-security-policy')!;
      assert.match(policy, /default-src 'none'/);
      assert.match(policy, /frame-ancestors 'none'/);
      assert.doesNotMatch(policy, /unsafe|\*/);
    }
  });

  it('says no more than that something went wrong, where it did', async () => {
    // Nothing is behind this API.
    const response = await call('GET', '/status');
    assert.equal(response.status, 500);
    assert.deepEqual(await problem(response), {
      type: 'about:blank',
      title: 'Internal Server Error',
      status: 500,
      detail: 'the service failed: its log tells why',
    });
  });
});
