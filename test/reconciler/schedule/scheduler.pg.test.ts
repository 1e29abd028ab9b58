import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { RunStore } from '../../../src/reconciler/runs/run-store.ts';
import { type Plan, Scheduler, type SchedulerOptions } from '../../../src/reconciler/schedule/scheduler.ts';
import type { RunFunction } from '../../../src/reconciler/types.ts';
import { testDatabase } from '../../support/postgres.ts';
import { silent } from '../../support/producer.ts';
import { until } from '../../support/until.ts';
import { ANA, EQUAL, freshStores, longWork, never, runOptions } from '../runs/stores.ts';

const database = await testDatabase();
const HOUR = 3_600_000;
const LEASE_MS = 1_000;

const HOURLY: Plan = { name: 'hourly', cron: '0 * * * *', timezone: 'UTC', options: runOptions() };

/** The wall clock of all processes of a test. */
class Clock {
  now = Date.UTC(2026, 5, 1, 0, 30);
}

interface Process {
  scheduler: Scheduler;
  /** Ends in order. */
  stop(): Promise<void>;
}

/** A process that plans; its runs do `work`. */
function startProcess(
  clock: Clock,
  store: RunStore,
  work: RunFunction,
  change: Partial<SchedulerOptions> & { instance: string },
): Process {
  const ending = new AbortController();
  const scheduler = new Scheduler({
    store,
    plans: [HOURLY],
    start: async (options, asker) => {
      const { run } = await store.create(options, asker);
      await store.execute(run, work, ending.signal);
    },
    firstLoadAt: async () => Date.UTC(2026, 5, 1, 0, 30),
    log: silent,
    signal: ending.signal,
    leaseMs: LEASE_MS,
    now: () => clock.now,
    ...change,
  });
  const running = scheduler.run();
  const stop = async () => {
    ending.abort(new Error('the process ends'));
    await running;
  };
  // Where the test has failed, it goes on still.
  after(stop);
  return { scheduler, stop };
}

const equal: RunFunction = async () => EQUAL;

/** How many runs have ended, once there are `count`. */
function runs(store: RunStore, count: number) {
  return until(
    async () => {
      const { runs } = await store.list({ limit: 100 });
      assert.ok(runs.length <= count, `${runs.length} runs instead of ${count}`);
      return runs.filter(({ state }) => state === 'equal').length === count ? runs : null;
    },
    `${count} runs`,
    30_000,
  );
}

/** Waits until a process has looked at its plans several times more. */
async function looks(stores: Awaited<ReturnType<typeof freshStores>>): Promise<void> {
  const renewals = async () => {
    const [leader] = await stores.sql<{ token: string; renewals: string }>(
      'SELECT token, renewals FROM :schema.leader',
    );
    return leader!;
  };
  const before = await renewals();
  await until(
    async () => {
      const now = await renewals();
      return now.token !== before.token || BigInt(now.renewals) >= BigInt(before.renewals) + 3n;
    },
    'more looks at the plans',
    30_000,
  );
}

describe('the scheduler', () => {
  test('starts a run at each planned time, asked for by the schedule, and says what comes next', async () => {
    const stores = await freshStores(database.url);
    const clock = new Clock();
    const store = stores.open();
    const off: Plan = { ...HOURLY, name: 'direct', cron: 'off' };
    const process = startProcess(clock, store, equal, { instance: 'a', plans: [HOURLY, off] });
    await until(() => process.scheduler.leads, 'the lead');
    await looks(stores);
    assert.deepEqual(process.scheduler.next(), [
      { name: 'hourly', cron: '0 * * * *', timezone: 'UTC', at: Date.UTC(2026, 5, 1, 1) },
      { name: 'direct', cron: 'off', timezone: 'UTC', at: null },
    ]);
    await runs(store, 0);
    clock.now += HOUR;
    const [run] = (await runs(store, 1))!;
    assert.deepEqual(run!.asker, { trigger: 'schedule', name: 'hourly' });
    await looks(stores);
    await runs(store, 1);
    clock.now += HOUR;
    await runs(store, 2);
    await process.stop();
  });

  test('what was missed while no process ran is made up by one run', async () => {
    const stores = await freshStores(database.url);
    const clock = new Clock();
    const store = stores.open();
    const first = startProcess(clock, store, equal, { instance: 'a' });
    await until(() => first.scheduler.leads, 'the lead');
    await looks(stores);
    await first.stop();
    clock.now += 50 * HOUR;
    const second = startProcess(clock, store, equal, { instance: 'a' });
    await runs(store, 1);
    await looks(stores);
    await runs(store, 1);
    await second.stop();
  });

  test('of several processes one plans; a standby takes over when it ends, and when it is killed', async () => {
    const stores = await freshStores(database.url);
    const clock = new Clock();
    const reader = stores.open();
    const a = startProcess(clock, stores.open(), equal, { instance: 'a' });
    await until(() => a.scheduler.leads, 'the first to lead');
    const mortal = stores.openMortal();
    const b = startProcess(clock, mortal.store, equal, { instance: 'b' });
    clock.now += HOUR;
    await runs(reader, 1);
    await looks(stores);
    assert.equal(b.scheduler.leads, false);
    await a.stop();
    await until(() => b.scheduler.leads, 'the standby to lead');
    const c = startProcess(clock, stores.open(), equal, { instance: 'c' });
    await looks(stores);
    assert.equal(c.scheduler.leads, false);
    mortal.kill();
    clock.now += HOUR;
    await runs(reader, 2);
    assert.equal(c.scheduler.leads, true);
    assert.equal(b.scheduler.leads, false);
    await looks(stores);
    await runs(reader, 2);
    await Promise.all([b.stop(), c.stop()]);
  });

  test('a leader that was replaced while its run goes on does not make it be run twice', async () => {
    const stores = await freshStores(database.url);
    const clock = new Clock();
    const store = stores.open();
    const { work, finish, recorder } = longWork();
    const a = startProcess(clock, store, work, { instance: 'a' });
    clock.now += HOUR;
    await recorder;
    await stores.sql(`UPDATE :schema.leader SET token = token + 1, holder = 'b'`);
    const b = startProcess(clock, stores.open(), equal, { instance: 'b' });
    await until(() => b.scheduler.leads, 'the other to lead');
    await looks(stores);
    finish();
    await runs(store, 1);
    await looks(stores);
    await runs(store, 1);
    await Promise.all([a.stop(), b.stop()]);
  });

  test('a run that its killed process left is made up by the next leader', async () => {
    const stores = await freshStores(database.url);
    const clock = new Clock();
    const silentMs = 2_000;
    const { store, kill } = stores.openMortal({ silentMs });
    const { work, recorder } = longWork();
    const a = startProcess(clock, store, work, { instance: 'a' });
    clock.now += HOUR;
    await recorder;
    kill();
    const reader = stores.open({ silentMs });
    const b = startProcess(clock, reader, equal, { instance: 'b' });
    const ended = await until(
      async () => {
        const { runs } = await reader.list({ limit: 10 });
        return runs.some(({ state }) => state === 'equal') ? runs : null;
      },
      'the run to be made up',
      30_000,
    );
    assert.deepEqual(
      ended?.map(({ state }) => state),
      ['equal', 'interrupted'],
    );
    await looks(stores);
    assert.equal((await reader.list({ limit: 10 })).runs.length, 2);
    await Promise.all([a.stop(), b.stop()]);
  });

  test('a plan that is due waits for a run by hand, and runs once after it', async () => {
    const stores = await freshStores(database.url);
    const clock = new Clock();
    const store = stores.open();
    const byHand = await store.create(runOptions(), ANA);
    const { work, finish, recorder } = longWork();
    const executed = store.execute(byHand.run, work, never);
    await recorder;
    let starts = 0;
    const slowly = Promise.withResolvers<void>();
    const process = startProcess(clock, store, equal, {
      instance: 'a',
      start: async (options, asker) => {
        starts += 1;
        await slowly.promise;
        await store.execute((await store.create(options, asker)).run, equal, never);
      },
    });
    for (let hour = 0; hour < 3; hour++) {
      clock.now += HOUR;
      await looks(stores);
    }
    assert.equal((await store.list({ limit: 10 })).runs.length, 1);
    assert.equal(starts, 0);
    finish();
    await executed;
    await until(() => starts > 0, 'the start', 30_000);
    await looks(stores);
    slowly.resolve();
    await runs(store, 2);
    await looks(stores);
    await runs(store, 2);
    assert.equal(starts, 1);
    await process.stop();
  });

  test('two plans of one connector that are due together run one after the other', async () => {
    const stores = await freshStores(database.url);
    const clock = new Clock();
    const store = stores.open();
    let atOnce = 0;
    const alone: RunFunction = async () => {
      atOnce += 1;
      assert.equal(atOnce, 1);
      await looks(stores);
      atOnce -= 1;
      return EQUAL;
    };
    const plans = [HOURLY, { ...HOURLY, name: 'direct', options: runOptions({ direct: true }) }];
    const process = startProcess(clock, store, alone, { instance: 'a', plans });
    clock.now += HOUR;
    const both = await runs(store, 2);
    assert.deepEqual(both?.map(({ asker }) => asker.name).sort(), ['direct', 'hourly']);
    await process.stop();
  });

  test('a start that fails is tried again; the schedule goes on', async () => {
    const stores = await freshStores(database.url);
    const clock = new Clock();
    const store = stores.open();
    let starts = 0;
    const process = startProcess(clock, store, equal, {
      instance: 'a',
      start: async (options, asker) => {
        starts += 1;
        if (starts === 1) throw new Error('SIIRAyS is not there');
        await store.execute((await store.create(options, asker)).run, equal, never);
      },
    });
    clock.now += HOUR;
    await runs(store, 1);
    assert.equal(starts, 2);
    await process.stop();
  });

  test('two plans of one name, and a schedule that is none, are refused at once', async () => {
    const stores = await freshStores(database.url);
    const options = (plans: Plan[]): SchedulerOptions => ({
      store: stores.open(),
      plans,
      start: async () => undefined,
      firstLoadAt: async () => null,
      log: silent,
      signal: never,
      instance: 'a',
      leaseMs: LEASE_MS,
    });
    assert.throws(() => new Scheduler(options([HOURLY, HOURLY])), /two schedules are named hourly/);
    assert.throws(() => new Scheduler(options([{ ...HOURLY, cron: 'daily' }])), RangeError);
  });
});
