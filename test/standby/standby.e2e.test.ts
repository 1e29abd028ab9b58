/** Two producers and two consumers: one of each works, the other goes on within seconds, whatever becomes of the first. */
import assert from 'node:assert/strict';
import { availableParallelism, loadavg } from 'node:os';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTraffic } from '../../embedded/siirays/traffic.ts';
import { CliProcess } from '../support/cli-process.ts';
import { CommittedWitness } from '../support/committed-witness.ts';
import { RunningPipeline } from '../support/running-pipeline.ts';
import { until } from '../support/until.ts';

type Kind = 'producer' | 'consumer';

/** Time-outs of a working day would make a long test: these are the shortest that the settings allow to be sensible. */
const SETTINGS = {
  producer: { SIIRAYS_WAL_SENDER_TIMEOUT: '2s', KAFKA_TRANSACTION_TIMEOUT: '10s' },
  consumer: { LEASE_RENEW: '300ms', LEASE_TIMEOUT: '2s', FASTAAPS_TIMEOUT: '5s' },
};
/** Longer than every one of them: what stood still for so long finds nothing as it left it. */
const LONGER_THAN_ALL_MS = 13_000;
/** What is promised, on a machine that is not overloaded; on another one it is only waited for. */
const PROMISED_MS = 10_000;
const WAITED_MS = 90_000;

const pipeline = await RunningPipeline.start({
  epsas: 60,
  without: ['producer', 'consumer', 'reconciler'],
  settings: SETTINGS,
});
const { stack } = pipeline;
let started = 0;

/** A process of the pipeline with a name of its own. */
class Instance {
  readonly kind: Kind;
  readonly name: string;
  readonly process: CliProcess;

  constructor(kind: Kind) {
    this.kind = kind;
    this.name = `${kind}-${++started}`;
    const own = { HTTP_PORT: '0', INSTANCE_ID: this.name };
    this.process = new CliProcess([kind], { ...stack.environment(kind), ...own });
  }

  async #get(path: string): Promise<{ status: number; text: string }> {
    const { port } = await this.process.untilLine(({ event }) => event === 'http_listening', `${this.name} to listen`);
    const headers = { authorization: `Basic ${btoa(`metrics:${stack.environment(this.kind).METRICS_PASSWORD}`)}` };
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers, signal: AbortSignal.timeout(2_000) });
    return { status: response.status, text: await response.text() };
  }

  /** What it says of itself: ready, and active. */
  async state(): Promise<{ ready: boolean; active: number }> {
    const [health, metrics] = [await this.#get('/readyz'), await this.#get('/metrics')];
    const active = /^siirays_sync_active\{[^}]*\} (\d)$/m.exec(metrics.text);
    return { ready: health.status === 200, active: Number(active?.[1]) };
  }

  async works(): Promise<boolean> {
    const { ready, active } = await this.state();
    return ready && active === 1;
  }

  /** Waits until it waits for another one. */
  async standsBy(): Promise<void> {
    await this.process.untilLine(
      ({ event, reason }) => event === 'part_not_ready' && /^standing by: /.test(String(reason)),
      `${this.name} to stand by`,
    );
    await until(async () => !(await this.works()), `${this.name} not to be ready`);
  }
}

/** The two of a kind, and who of them works. */
class Pair {
  active: Instance;
  standby: Instance;

  constructor(active: Instance, standby: Instance) {
    this.active = active;
    this.standby = standby;
  }

  /** Two that are started at the same moment; waits until one of them works. */
  static async start(kind: Kind): Promise<Pair> {
    const both = [new Instance(kind), new Instance(kind)];
    const working = await until(
      async () => {
        for (const one of both) if (await one.works().catch(() => false)) return one;
        return null;
      },
      `one ${kind} to work`,
      60_000,
    );
    return new Pair(working!, both.find((one) => one !== working)!);
  }

  /** Makes a new second one, which stands by. */
  async refill(): Promise<void> {
    this.standby = new Instance(this.active.kind);
    await this.standby.standsBy();
  }

  /** Waits until the second one works and commits made from now on show. @returns milliseconds from `since` */
  async handedOver(since: number): Promise<number> {
    const { seq } = await pipeline.answerWhenUp();
    await until(
      async () => (await this.standby.works()) && (await pipeline.answerWhenUp()).seq > seq + 5n,
      `${this.standby.name} to go on`,
      WAITED_MS,
    );
    const ms = performance.now() - since;
    if (isQuiet()) assert.ok(ms < PROMISED_MS, `${this.standby.name} went on after ${ms} ms`);
    [this.active, this.standby] = [this.standby, this.active];
    return ms;
  }
}

describe('a hot standby', { timeout: 280_000 }, () => {
  const took: string[] = [];
  after(() => console.log(took.join('\n')));

  test('goes on, and nothing is lost, doubled or half, nor written by one that woke up', async () => {
    // Both of each at the same moment: one works, the other says that it does not.
    const [producers, consumers] = await Promise.all([Pair.start('producer'), Pair.start('consumer')]);
    await stack.firstLoad();
    for (const { standby } of [producers, consumers]) {
      await standby.standsBy();
      assert.deepEqual(await standby.state(), { ready: false, active: 0 });
    }
    await pipeline.assertEqual('the first load');
    const witness = await CommittedWitness.start(pipeline);
    const ending = new AbortController();
    const traffic = runTraffic({ url: stack.endpoints.siirays, rate: 30, seed: 5 }, ending.signal);

    for (const pair of [producers, consumers]) {
      const { kind } = pair.active;

      // Asked to end, it hands over.
      let since = performance.now();
      pair.active.process.kill('SIGTERM');
      took.push(`${kind} SIGTERM: ${Math.round(await pair.handedOver(since))} ms`);
      assert.equal(await pair.standby.process.exitCode(), 0);
      await pair.refill();

      // A standby that is killed is not missed.
      pair.standby.process.kill('SIGKILL');
      await pair.standby.process.exitCode();
      assert.ok(await pair.active.works());
      await pair.refill();

      since = performance.now();
      pair.active.process.kill('SIGKILL');
      took.push(`${kind} SIGKILL: ${Math.round(await pair.handedOver(since))} ms`);
      await pair.refill();
    }

    // Both stand still in the middle of their work, for longer than every time-out, and wake up.
    const since = performance.now();
    for (const { active } of [producers, consumers]) active.process.kill('SIGSTOP');
    for (const pair of [producers, consumers]) {
      const ms = await pair.handedOver(since);
      took.push(`${pair.active.kind} SIGSTOP: ${Math.round(ms)} ms`);
    }
    await sleep(Math.max(0, LONGER_THAN_ALL_MS - (performance.now() - since)));
    const versions = await newestVersions();
    for (const { standby } of [producers, consumers]) standby.process.kill('SIGCONT');
    for (const { active, standby } of [producers, consumers]) {
      await until(
        async () => {
          const { ready, active: works } = await standby.state();
          return !ready && works === 0;
        },
        `${standby.name} to find that it stands by`,
        WAITED_MS,
      );
      assert.ok(await active.works(), `${active.name} goes on working`);
    }

    // The woken ones are whole: they take over again.
    for (const pair of [producers, consumers]) {
      const at = performance.now();
      pair.active.process.kill('SIGKILL');
      took.push(`${pair.active.kind} SIGKILL, to the woken one: ${Math.round(await pair.handedOver(at))} ms`);
    }
    ending.abort();
    const { committed } = await traffic;
    assert.ok(committed > 200, `${committed} transactions were committed`);
    await pipeline.assertEqual('after all', 60_000);
    for (const [id, version] of await newestVersions()) {
      assert.ok(version >= (versions.get(id) ?? 0n), `${id} went back`);
    }
    await witness.assertSame();
    await witness.end();
  });
});

/** Whether every process that wants to run gets to (getloadavg(3), of the last minute). */
function isQuiet(): boolean {
  return loadavg()[0]! < 2 * availableParallelism();
}

/** What FASTAAPS has of each document, epoch and version as one number. */
async function newestVersions(): Promise<Map<string, bigint>> {
  const { rows } = await pipeline.sync.query<{ id: string; at: string }>(
    `SELECT id, (accepted_epoch * 1000000000000::numeric + accepted_version)::text AS at
     FROM epsa_sync.document WHERE accepted_version IS NOT NULL`,
  );
  return new Map(rows.map(({ id, at }) => [id, BigInt(at)]));
}
