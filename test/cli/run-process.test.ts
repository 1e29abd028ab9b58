import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { until } from '../support/until.ts';

const SCRIPT = join(import.meta.dirname, 'sample-process.ts');
const ENV = {
  PATH: process.env.PATH,
  SIIRAYS_URL: 'postgres://sync:s3cret@127.0.0.1:1/siirays2019',
  KAFKA_BROKERS: '127.0.0.1:1',
  KAFKA_BROKER: 'misspelt',
  REGISTRY_URL: 'http://127.0.0.1:1',
  HTTP_PORT: '0',
};

interface Started {
  child: ChildProcess;
  output(): string;
  records(): Record<string, unknown>[];
  ended: Promise<number | null>;
}

function start(context: TestContext, kind: string, env: Record<string, string> = {}): Started {
  const child = spawn(process.execPath, [SCRIPT, kind], { env: { ...ENV, ...env } });
  context.after(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const records = () =>
    output
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  return { child, output: () => output, records, ended };
}

/** Waits for a log record with this event. */
function event(started: Started, name: string): Promise<Record<string, unknown>> {
  return until(() => started.records().find((record) => record.event === name) ?? null, name) as Promise<
    Record<string, unknown>
  >;
}

describe('life of a process', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`ends in order with 0 on ${signal}`, async (context) => {
      const started = start(context, 'orderly');
      const { port } = await event(started, 'http_listening');
      await event(started, 'part_ready');
      assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200);
      started.child.kill(signal);
      assert.equal(await started.ended, 0);
      await event(started, 'process_ended');
      assert.equal((await event(started, 'configuration_warning')).level, 'warn');
    });
  }

  it('ends at once on a second signal', async (context) => {
    const started = start(context, 'deaf');
    await event(started, 'part_ready');
    started.child.kill('SIGTERM');
    await event(started, 'process_ending');
    assert.equal(started.child.exitCode, null);
    started.child.kill('SIGINT');
    assert.equal(await started.ended, 130);
  });

  it('fails with 1, its reason logged without secrets, where the run function throws or ends by itself', async (context) => {
    const failing = start(context, 'failing');
    assert.equal(await failing.ended, 1);
    assert.match((await event(failing, 'process_failed')).msg as string, /cannot reach postgres:\/\/u:\[redacted\]@db/);
    const early = start(context, 'early');
    assert.equal(await early.ended, 1);
    assert.match((await event(early, 'process_failed')).msg as string, /without being asked/);
  });

  it('logs an error that nobody caught and ends with 1', async (context) => {
    const started = start(context, 'stray');
    assert.equal(await started.ended, 1);
    await event(started, 'process_crashed');
  });

  it('fails with 1 where its port is taken', async (context) => {
    const holder = start(context, 'orderly');
    const { port } = await event(holder, 'http_listening');
    const second = start(context, 'orderly', { HTTP_PORT: String(port) });
    assert.equal(await second.ended, 1);
    assert.match((await event(second, 'process_failed')).msg as string, /EADDRINUSE/);
    holder.child.kill('SIGTERM');
    assert.equal(await holder.ended, 0);
  });
});
