import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { after, describe, it } from 'node:test';
import { FastaapsClient } from '../../src/fastaaps/client.ts';
import { all, each, header, TARGET, upsert } from './reference.ts';

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function clientFor(url: string, more: { token?: string; username?: string; timeoutMs?: number } = {}): FastaapsClient {
  const client = new FastaapsClient({ url, timeoutMs: 5_000, ...more });
  after(() => client.close());
  return client;
}

describe('the client of FASTAAPS', () => {
  it('speaks to the path under its URL, with Basic or Bearer', async () => {
    const seen: (string | undefined)[] = [];
    const url = await serve((request, response) => {
      seen.push(request.url, request.headers.authorization);
      response.end('{}');
    });
    await clientFor(`${url}/base/`, { token: 't' }).getDocument({ path: '/registro/', tag: 'a b' }, 'x/y');
    await clientFor(url, { username: 'ñ' }).getDocument(TARGET, '1');
    assert.deepEqual(seen, [
      '/base/registro/x%2Fy?db_tag=a%20b',
      'Bearer t',
      '/registro/1?db_tag=sync',
      `Basic ${Buffer.from('ñ:').toString('base64')}`,
    ]);
  });

  it('gives up a service that stops reading, without taking more from the source', async () => {
    const sockets: Socket[] = [];
    const server = createTcpServer((socket) => {
      socket.pause();
      sockets.push(socket);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    after(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    let finished = false;
    async function* endless() {
      try {
        for (let id = 1; ; id += 1) yield upsert(id, 1);
      } finally {
        finished = true;
      }
    }
    const client = clientFor(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, { timeoutMs: 300 });
    await assert.rejects(client.postChanges(TARGET, header(1), endless()), { kind: 'retry', outcomeUnknown: true });
    assert.ok(finished, 'the source is done with when the call is');
  });

  it('gives up a service that does not answer', async () => {
    const url = await serve((request) => void request.resume());
    const client = clientFor(url, { timeoutMs: 300 });
    await assert.rejects(client.postChanges(TARGET, header(1), each([])), { kind: 'retry', outcomeUnknown: true });
  });

  it('passes on what the source of the lines throws', async () => {
    const url = await serve((request) => void request.resume());
    async function* lines() {
      yield upsert(1, 1);
      throw new RangeError('of the database');
    }
    await assert.rejects(clientFor(url).postChanges(TARGET, header(1), lines()), RangeError);
  });

  it('passes on what the taker of the etags throws', async () => {
    const url = await serve((request, response) => {
      request.resume();
      response.end('{"applied":1,"ignored":0,"etags":{"1":"x"}}');
    });
    const taker = () => {
      throw new RangeError('of the database');
    };
    await assert.rejects(clientFor(url).postChanges(TARGET, header(1), each([]), taker), RangeError);
  });

  it('knows that a refused connection has done nothing', async () => {
    const client = clientFor('http://127.0.0.1:1');
    await assert.rejects(client.getPosition(TARGET), { kind: 'retry', outcomeUnknown: false });
  });

  it('takes a broken or foreign answer for a passing fault', async () => {
    const answers: RequestListener[] = [
      (_request, response) => response.end('<html>welcome</html>'),
      (_request, response) => {
        response.writeHead(200, { 'content-length': '100' }).write('{"applied":1');
        setImmediate(() => response.destroy());
      },
      (_request, response) => response.writeHead(502).end('bad gateway'),
    ];
    for (const answer of answers) {
      const client = clientFor(
        await serve((request, response) => request.resume().on('end', () => answer(request, response))),
      );
      await assert.rejects(client.postChanges(TARGET, header(1), each([])), { kind: 'retry', outcomeUnknown: true });
      await assert.rejects(client.getPosition(TARGET), { kind: 'retry' });
      await assert.rejects(all(client.getVersions(TARGET)), { name: 'FastaapsError', kind: 'retry' });
    }
  });

  it('takes redirections and unknown addresses for wrong settings', async () => {
    for (const status of [301, 404, 405, 418]) {
      const client = clientFor(await serve((_request, response) => response.writeHead(status).end('no')));
      await assert.rejects(client.getPosition(TARGET), { kind: 'configuration', status });
      await assert.rejects(client.postChanges(TARGET, header(1), each([])), { kind: 'configuration', status });
    }
  });
});
