import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, describe, it } from 'node:test';
import { type ApiServerOptions, startApiServer } from '../../../src/reconciler/http/api-server.ts';
import type { ApiUser } from '../../../src/reconciler/http/authentication.ts';
import { hashPassword } from '../../../src/reconciler/http/password.ts';
import type { ApiServices } from '../../../src/reconciler/http/services.ts';
import { authorization, LOG } from './api-rig.ts';

const HASHED: ApiUser = {
  name: 'olga',
  role: 'operator',
  password: await hashPassword('right', { N: 1024, r: 8, p: 1 }),
};
const OLGA: ApiUser = { ...HASHED, password: 'right' };
const VERA: ApiUser = { name: 'vera', role: 'viewer', password: 'looks' };
const WRONG: ApiUser = { ...OLGA, password: 'wrong' };
const NOBODY: ApiUser = { ...OLGA, name: 'nobody' };

/** The API without anything behind it: its description needs nothing. */
async function startBare(options: Partial<ApiServerOptions> = {}) {
  let now = 0;
  const server = await startApiServer({ connectors: [] } as unknown as ApiServices, {
    host: '127.0.0.1',
    port: 0,
    users: [HASHED, VERA],
    log: LOG,
    now: () => now,
    ...options,
  });
  after(() => server.close());
  return {
    ask: (user: ApiUser | null, headers: Record<string, string> = {}, method = 'GET', path = '/openapi.json') =>
      fetch(`http://127.0.0.1:${server.port}/api/v1${path}`, {
        method,
        headers: user === null ? headers : { authorization: authorization(user), ...headers },
      }),
    pass(ms: number) {
      now += ms;
    },
  };
}

type Asking = Awaited<ReturnType<typeof startBare>>['ask'];

async function fail(
  ask: Asking,
  user: ApiUser,
  times: number,
  headers: Record<string, string> = {},
): Promise<number[]> {
  const statuses: number[] = [];
  for (let i = 0; i < times; i++) {
    const response = await ask({ ...user, password: randomBytes(4).toString('hex') }, headers);
    await response.text();
    statuses.push(response.status);
  }
  return statuses;
}

describe('credentials', () => {
  it('are asked for', async () => {
    const { ask } = await startBare();
    for (const user of [null, WRONG, NOBODY]) {
      const response = await ask(user);
      assert.equal(response.status, 401);
      assert.equal(response.headers.get('www-authenticate'), 'Basic realm="siirays-sync", charset="UTF-8"');
      assert.equal(response.headers.get('content-type'), 'application/problem+json; charset=utf-8');
      assert.deepEqual(await response.json(), {
        type: 'about:blank',
        title: 'Unauthorized',
        status: 401,
        detail: 'user name and password are missing or wrong',
      });
    }
    for (const header of ['Basic', 'Basic !', `Basic ${Buffer.from('olga').toString('base64')}`, 'Bearer right']) {
      assert.equal((await ask(null, { authorization: header })).status, 401, header);
    }
    assert.equal((await ask(null, {}, 'GET', '/nothing')).status, 401, 'what there is, is told to users only');
  });

  it('let in with the right password, plain or hashed', async () => {
    const { ask } = await startBare();
    assert.equal((await ask(OLGA)).status, 200);
    assert.equal((await ask(VERA)).status, 200);
    assert.equal((await ask(HASHED)).status, 401, 'the hash itself is no password');
  });

  it('of a viewer change nothing', async () => {
    const { ask } = await startBare();
    const response = await ask(VERA, {}, 'POST', '/dead-letters/replay');
    assert.equal(response.status, 403);
    assert.equal(((await response.json()) as { type: string }).type, 'urn:siirays-sync:problem:role');
    assert.equal((await ask(VERA, {}, 'DELETE', '/reconciliations/x')).status, 403);
    assert.equal((await ask(OLGA, {}, 'POST', '/connectors/x/pause')).status, 404);
  });

  it('are configured without mistakes', async () => {
    await assert.rejects(startBare({ users: [VERA, VERA] }), /configured twice/);
    await assert.rejects(startBare({ users: [{ ...VERA, name: 'a:b' }] }), /no colon/);
    await assert.rejects(startBare({ users: [{ ...VERA, password: '' }] }), /no password/);
    await assert.rejects(startBare({ users: [{ ...VERA, password: 'scrypt:1' }] }), /scrypt:N:r:p/);
  });

  it('of unknown names cost what those of known ones cost', async () => {
    const costly: ApiUser = { ...HASHED, password: await hashPassword('right', { N: 1 << 15, r: 8, p: 2 }) };
    const { ask, pass } = await startBare({ users: [costly] });
    const time = async (user: ApiUser) => {
      const cpu = process.cpuUsage();
      await fail(ask, user, 3);
      pass(60_000);
      return process.cpuUsage(cpu).user;
    };
    await time(WRONG);
    const [known, unknown] = [await time(WRONG), await time(NOBODY)];
    assert.ok(unknown > known / 4, `processor time: ${known} µs for a known name, ${unknown} µs for an unknown one`);
  });

  it('that were right are not hashed again', async () => {
    const costly: ApiUser = { ...HASHED, password: await hashPassword('right', { N: 1 << 17, r: 8, p: 1 }) };
    const { ask } = await startBare({ users: [costly] });
    const time = async () => {
      const cpu = process.cpuUsage();
      await (await ask(OLGA)).text();
      return process.cpuUsage(cpu).user;
    };
    const first = await time();
    await time();
    const later = await time();
    assert.ok(later < first / 2, `processor time: ${first} µs at first, ${later} µs later`);
  });
});

describe('guessing', () => {
  it('ends after five failures of an address', async () => {
    const { ask, pass } = await startBare();
    assert.deepEqual(await fail(ask, WRONG, 7), [401, 401, 401, 401, 401, 429, 429]);
    const response = await ask(OLGA);
    assert.equal(response.status, 429, 'also for the right password: else guessing went on');
    assert.equal(response.headers.get('retry-after'), '60');
    pass(60_000);
    assert.equal((await ask(OLGA)).status, 200);
  });

  it('counts failures of many names from one address together', async () => {
    const { ask } = await startBare();
    const statuses: number[] = [];
    for (let i = 0; i < 8; i++) statuses.push((await ask({ ...WRONG, name: `name${i}` })).status);
    assert.deepEqual(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
  });

  it('does not lock out another name behind the same proxy', async () => {
    const { ask } = await startBare();
    await fail(ask, WRONG, 6);
    assert.equal((await ask(VERA)).status, 200);
    assert.deepEqual(await fail(ask, { ...VERA, name: 'victor' }, 2), [429, 429]);
    assert.equal((await ask(VERA)).status, 200);
  });

  it('of one name ends from all addresses, but for where it was right before', async () => {
    const { ask } = await startBare({ trustProxy: 1 });
    const from = (address: string) => ({ 'x-forwarded-for': address });
    assert.equal((await ask(OLGA, from('10.0.0.9'))).status, 200);
    for (let i = 1; i <= 5; i++) assert.deepEqual(await fail(ask, WRONG, 1, from(`10.0.0.${i}`)), [401]);
    assert.equal((await ask(OLGA, from('10.0.0.6'))).status, 429);
    assert.equal((await ask(OLGA, from('10.0.0.9'))).status, 200);
    assert.equal((await ask(VERA, from('10.0.0.6'))).status, 200);
  });

  it('believes no forwarded address without a proxy', async () => {
    const { ask } = await startBare();
    for (let i = 1; i <= 5; i++) await fail(ask, { ...WRONG, name: `n${i}` }, 1, { 'x-forwarded-for': `10.0.0.${i}` });
    assert.deepEqual(await fail(ask, { ...WRONG, name: 'n6' }, 1, { 'x-forwarded-for': '10.0.0.6' }), [429]);
  });

  it('many at once is counted, too', async () => {
    const { ask } = await startBare();
    const answers = await Promise.all(Array.from({ length: 20 }, () => fail(ask, WRONG, 1)));
    assert.equal(answers.flat().filter((status) => status === 401).length, 5);
  });

  it("is not what a browser's requests at once are", async () => {
    const { ask } = await startBare();
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(OLGA)));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
  });
});

describe("another site's page", () => {
  const change = ['POST', '/connectors/x/pause'] as const;

  it('changes nothing', async () => {
    const { ask } = await startBare();
    const foreign: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ];
    for (const headers of foreign) {
      const response = await ask(OLGA, headers, ...change);
      assert.equal(response.status, 403, JSON.stringify(headers));
      assert.equal(((await response.json()) as { type: string }).type, 'urn:siirays-sync:problem:foreign-origin');
    }
  });

  it('is told from our own', async () => {
    const { ask } = await startBare({ origins: ['https://sync.example'] });
    const own = new URL((await ask(OLGA)).url).origin;
    const known: Record<string, string>[] = [
      {},
      { origin: own },
      { origin: 'https://sync.example' },
      { 'sec-fetch-site': 'same-origin' },
    ];
    for (const headers of known) {
      assert.equal((await ask(OLGA, headers, ...change)).status, 404, JSON.stringify(headers));
    }
  });

  it('reads nothing: there are no CORS headers', async () => {
    const { ask } = await startBare();
    const headers = { origin: 'https://evil.example', 'access-control-request-method': 'POST' };
    for (const method of ['GET', 'OPTIONS']) {
      const response = await ask(OLGA, headers, method);
      const cors = [...response.headers.keys()].filter((name) => name.startsWith('access-control-'));
      assert.deepEqual(cors, [], method);
    }
  });
});
