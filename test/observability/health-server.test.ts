import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { Gauge } from 'prom-client';
import { createHealth } from '../../src/observability/health.ts';
import { type HealthServer, startHealthServer } from '../../src/observability/health-server.ts';
import { createMetrics, registerHealthMetrics } from '../../src/observability/metrics.ts';

let clock = 0;
const health = createHealth({ livenessMs: 1000, monotonicMs: () => clock });
const metrics = createMetrics('producer');
registerHealthMetrics(metrics, health);

const http = { host: '127.0.0.1', port: 0, metricsUsername: 'metrics', metricsPassword: 'pässword' };
let server: HealthServer;
let closed: HealthServer;
before(async () => {
  server = await startHealthServer({ http, health, metrics });
  closed = await startHealthServer({ http: { ...http, metricsPassword: undefined }, health, metrics });
});
after(async () => {
  await server.close();
  await closed.close();
});

async function get(path: string, init: RequestInit = {}, at = server) {
  const response = await fetch(`http://127.0.0.1:${at.port}${path}`, init);
  return { status: response.status, type: response.headers.get('content-type'), response, text: await response.text() };
}

function basic(credentials: string): RequestInit {
  return { headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` } };
}

describe('health server', () => {
  it('/healthz is well while the process shows signs of life', async () => {
    health.live();
    assert.deepEqual((({ status, text }) => ({ status, text }))(await get('/healthz')), {
      status: 200,
      text: '{"status":"ok"}',
    });
    clock += 1000;
    assert.equal((await get('/healthz')).status, 503);
    health.live();
    assert.equal((await get('/healthz')).status, 200);
  });

  it('/readyz is well once every part is, and tells no names or reasons', async () => {
    assert.equal((await get('/readyz')).status, 503);
    health.ready('kafka', true);
    assert.equal((await get('/readyz')).status, 200);
    health.ready('fastaaps', false, 'FASTAAPS_PASSWORD is refused');
    const { status, text, type } = await get('/readyz');
    assert.deepEqual([status, text, type], [503, '{"status":"not ready"}', 'application/json']);
    health.ready('fastaaps', true);
    assert.equal((await get('/readyz')).status, 200);
  });

  it('/metrics asks for user and password', async () => {
    const without = await get('/metrics');
    assert.equal(without.status, 401);
    assert.equal(without.type, 'application/problem+json');
    assert.match(without.response.headers.get('www-authenticate')!, /^Basic /);
    for (const wrong of [
      'metrics:password',
      'metrics:pässwor',
      'other:pässword',
      'metrics',
      ':',
      'metrics:pässword ',
    ]) {
      assert.equal((await get('/metrics', basic(wrong))).status, 401, wrong);
    }
    assert.equal(
      (
        await get('/metrics', {
          headers: { authorization: 'Bearer pässword'.normalize('NFKD').replace(/[^ -~]/g, '') },
        })
      ).status,
      401,
    );
    const { status, text } = await get('/metrics', basic('metrics:pässword'));
    assert.equal(status, 200);
    assert.match(text, /^siirays_sync_ready\{process="producer"\} 1$/m);
    assert.match(text, /^siirays_sync_part_ready\{part="kafka",process="producer"\} 1$/m);
    assert.match(text, /^siirays_sync_process_resident_memory_bytes\{/m);
  });

  it('/metrics is closed where no password is configured', async () => {
    assert.equal((await get('/metrics', basic('metrics:'), closed)).status, 403);
  });

  it('answers other paths and methods with problem+json', async () => {
    const missing = await get('/etc/passwd');
    assert.equal(missing.status, 404);
    assert.deepEqual(Object.keys(JSON.parse(missing.text)), ['type', 'title', 'status', 'detail']);
    const post = await get('/healthz', { method: 'POST', body: 'x' });
    assert.equal(post.status, 405);
    assert.equal(post.response.headers.get('allow'), 'GET, HEAD');
    const head = await get('/healthz', { method: 'HEAD' });
    assert.deepEqual([head.status, head.text], [200, '']);
  });

  it('answers 500 where a metric cannot be collected, and goes on', async () => {
    const broken = createMetrics('consumer');
    new Gauge({
      name: 'broken',
      help: 'always fails',
      registers: [broken],
      collect() {
        throw new Error('secret detail');
      },
    });
    const failing = await startHealthServer({ http, health, metrics: broken });
    try {
      const { status, text } = await get('/metrics', basic('metrics:pässword'), failing);
      assert.equal(status, 500);
      assert.ok(!text.includes('secret detail'));
      assert.equal((await get('/healthz', {}, failing)).status, 200);
    } finally {
      await failing.close();
    }
  });

  it('rejects where the port is taken', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    const { port } = holder.address() as { port: number };
    await assert.rejects(startHealthServer({ http: { ...http, port }, health, metrics }), { code: 'EADDRINUSE' });
    await new Promise((resolve) => holder.close(resolve));
  });
});

describe('health', () => {
  it('reports each change of a part once', () => {
    const seen: string[] = [];
    const state = createHealth({ onChange: (name, { ok, reason }) => seen.push(`${name} ${ok} ${reason}`) });
    assert.equal(state.isReady(), false);
    state.ready('kafka', false, 'unreachable');
    state.ready('kafka', false, 'unreachable');
    state.ready('kafka', false, 'refused');
    state.ready('kafka', true);
    state.ready('kafka', true);
    assert.deepEqual(seen, ['kafka false unreachable', 'kafka false refused', 'kafka true undefined']);
    assert.equal(state.isReady(), true);
  });
});
