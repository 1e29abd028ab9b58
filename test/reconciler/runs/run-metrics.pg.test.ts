import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Registry } from 'prom-client';
import { createRunMetrics, registerProofMetrics } from '../../../src/reconciler/runs/run-metrics.ts';
import { parseSchedule } from '../../../src/reconciler/schedule/schedule.ts';
import { testDatabase } from '../../support/postgres.ts';
import { ANA, difference, EQUAL, freshStores, longWork, never, runOptions } from './stores.ts';

const database = await testDatabase();
const HOUR = 3_600_000;

async function values(registry: Registry): Promise<Map<string, number>> {
  const lines = (await registry.metrics()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space).replace('siirays_sync_reconciliation_', ''), Number(line.slice(space + 1))];
    }),
  );
}

describe('metrics', () => {
  test('count the runs of this process and what they found', async () => {
    const stores = await freshStores(database.url);
    const registry = new Registry();
    const store = stores.open({ observer: createRunMetrics(registry) });
    const { run } = await store.create(runOptions(), ANA);
    await store.execute(
      run,
      async (recorder) => {
        await recorder.differences([difference(), difference({ outcome: 'left' }), difference()]);
        return { state: 'differences' };
      },
      never,
    );
    const seen = await values(registry);
    assert.equal(seen.get('runs_total{mode="verify",trigger="http",state="differences"}'), 1);
    assert.equal(seen.get('differences_total{kind="row",outcome="found"}'), 2);
    assert.equal(seen.get('differences_total{kind="row",outcome="left"}'), 1);
    assert.equal(seen.get('duration_seconds_count{mode="verify"}'), 1);
  });

  test('tell of each connector what the history knows, and whether it is overdue', async () => {
    const stores = await freshStores(database.url);
    const { store, kill } = stores.openMortal();
    const registry = new Registry();
    let loadedAt: number | null = null;
    registerProofMetrics(registry, {
      store,
      connectors: ['epsa', 'other'],
      schedules: () => [parseSchedule('0 * * * *', 'UTC')!],
      firstLoadAt: async (connector) => (connector === 'epsa' ? loadedAt : null),
    });
    const overdue = async () => (await values(registry)).get('overdue{connector="epsa"}');
    assert.equal(await overdue(), 0, 'there is nothing to prove yet');
    loadedAt = Date.now() - 3 * HOUR;
    assert.equal(await overdue(), 1);
    loadedAt = Date.now();
    assert.equal(await overdue(), 0);
    loadedAt = Date.now() - 3 * HOUR;
    const { run } = await store.create(runOptions(), ANA);
    await store.execute(run, async () => EQUAL, never);
    await store.proven('epsa', ['1'], run.id);
    const { work, finish } = longWork();
    const next = await store.create(runOptions(), ANA);
    const executed = store.execute(next.run, work, never);
    const seen = await values(registry);
    assert.equal(seen.get('overdue{connector="epsa"}'), 0);
    assert.equal(seen.get('overdue{connector="other"}'), 0);
    assert.equal(seen.get('running{connector="epsa"}'), 1);
    assert.equal(seen.get('running{connector="other"}'), 0);
    const { endedAt } = (await store.get(run.id))!;
    assert.equal(seen.get('last_success_timestamp_seconds{connector="epsa"}'), endedAt! / 1_000);
    assert.ok(seen.get('proof_age_seconds{connector="epsa"}')! >= 0);
    assert.ok(!seen.has('proof_age_seconds{connector="other"}'));
    finish();
    await executed;
    kill();
    assert.deepEqual([...(await values(registry)).keys()], [], 'a scrape without sync is no error');
  });
});
