import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { IdempotencyConflict, NotResumable } from '../../../src/reconciler/runs/run-errors.ts';
import { RunConflict } from '../../../src/reconciler/types.ts';
import { testDatabase } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { ANA, EQUAL, freshStores, longWork, never, runOptions } from './stores.ts';

const database = await testDatabase();

describe('leases', () => {
  test('of many processes that want a connector at once, one gets it and the others learn whose it is', async () => {
    const stores = await freshStores(database.url);
    const processes = Array.from({ length: 12 }, () => stores.open());
    for (let round = 0; round < 5; round++) {
      const results = await Promise.allSettled(
        processes.map((store, i) =>
          store.create(runOptions({ connectors: i % 3 === 0 ? ['other', 'epsa'] : ['epsa', 'third'] }), ANA),
        ),
      );
      const won = results.filter((result) => result.status === 'fulfilled');
      assert.equal(won.length, 1);
      const { run } = won[0]!.value;
      for (const result of results) {
        if (result.status === 'fulfilled') continue;
        assert.ok(result.reason instanceof RunConflict, String(result.reason));
        assert.equal(result.reason.running, run.id);
      }
      await processes[0]!.execute(run, async () => EQUAL, never);
    }
  });

  test('runs of different connectors go on beside each other; one that wants both waits for both', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    const a = await store.create(runOptions({ connectors: ['a'] }), ANA);
    const b = await store.create(runOptions({ connectors: ['b'] }), ANA);
    await assert.rejects(store.create(runOptions({ connectors: ['a', 'b'] }), ANA), RunConflict);
    await store.execute(a.run, async () => EQUAL, never);
    await assert.rejects(
      store.create(runOptions({ connectors: ['a', 'b'] }), ANA),
      (error) => error instanceof RunConflict && error.running === b.run.id,
    );
    assert.deepEqual(await stores.sql('SELECT connector FROM :schema.lease'), [{ connector: 'b' }], 'all or nothing');
    assert.deepEqual(
      (await store.running()).map(({ id }) => id),
      [b.run.id],
    );
    assert.deepEqual(await store.running('a'), []);
  });

  test('a queued run waits for the other one, and gives up with its signal', async () => {
    const stores = await freshStores(database.url);
    const [one, two] = [stores.open(), stores.open()];
    const first = await one.create(runOptions(), ANA);
    const giving = new AbortController();
    const givenUp = two.queue(runOptions(), ANA, {}, giving.signal);
    giving.abort(new Error('enough'));
    await assert.rejects(givenUp, /enough|aborted/);
    const waiting = two.queue(runOptions(), ANA, {}, never);
    await one.execute(first.run, async () => EQUAL, never);
    const { run } = await waiting;
    assert.equal(run.state, 'queued');
    assert.notEqual(run.id, first.run.id);
  });
});

describe('idempotency keys', () => {
  test('the same key with the same options gives the same run, from however many processes at once', async () => {
    const stores = await freshStores(database.url);
    const processes = Array.from({ length: 10 }, () => stores.open());
    const idempotencyKey = randomUUID();
    const taken = await Promise.all(
      processes.map((store) => store.create(runOptions({ ids: ['1', '2'] }), ANA, { idempotencyKey })),
    );
    assert.equal(new Set(taken.map(({ run }) => run.id)).size, 1);
    assert.equal(taken.filter(({ existing }) => !existing).length, 1);
    await processes[0]!.execute(taken[0]!.run, async () => EQUAL, never);
    const again = await processes[1]!.create(runOptions({ ids: ['1', '2'] }), ANA, { idempotencyKey });
    assert.deepEqual([again.existing, again.run.state], [true, 'equal']);
    await assert.rejects(
      processes[2]!.create(runOptions({ ids: ['1'] }), ANA, { idempotencyKey }),
      IdempotencyConflict,
    );
  });
});

describe('cancelling', () => {
  test('a queued run is cancelled at once, and is not executed then', async () => {
    const stores = await freshStores(database.url);
    const [store, other] = [stores.open(), stores.open()];
    const { run } = await store.create(runOptions(), ANA);
    const cancelled = await other.cancel(run.id, 'berta');
    assert.deepEqual([cancelled?.state, cancelled?.notes], ['cancelled', ['cancelled by berta']]);
    const ended = await store.execute(run, async () => assert.fail('it was cancelled'), never);
    assert.equal(ended.state, 'cancelled');
    await store.create(runOptions(), ANA);
  });

  test('a run at work in another process is told, ends, and gives its connectors back', async () => {
    const stores = await freshStores(database.url);
    const [store, other] = [stores.open(), stores.open()];
    const { run } = await store.create(runOptions(), ANA);
    const { work, recorder } = longWork();
    const executed = store.execute(run, work, never);
    const told = await recorder;
    await until(async () => (await other.get(run.id))?.state === 'running', 'the run to begin');
    assert.equal((await other.cancel(run.id, 'berta'))?.state, 'running');
    await other.cancel(run.id, 'carla');
    const ended = await executed;
    assert.equal(told.signal.reason.message, 'cancelled by berta');
    assert.deepEqual([ended.state, ended.notes, ended.error], ['cancelled', ['cancelled by berta'], null]);
    await other.create(runOptions(), ANA);
    assert.equal((await other.cancel(run.id, 'dora'))?.state, 'cancelled');
    assert.equal(await other.cancel(randomUUID(), 'dora'), null);
    assert.equal(await other.cancel('no uuid', 'dora'), null);
  });
});

describe('resuming', () => {
  test('is for runs that did not come to an end, once, and for the same things', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    const { run } = await store.create(runOptions({ maxTimeMs: 1_000 }), ANA);
    await assert.rejects(store.resume(run.id, ANA), /queued: there is nothing to resume/);
    await store.execute(
      run,
      async (recorder) => {
        recorder.progress({}, { after: '7' });
        return { state: 'undecided' };
      },
      never,
    );
    await assert.rejects(store.create(runOptions({ ids: ['1'] }), ANA, { resumes: run.id }), /other things/);
    const next = await store.create(runOptions({ maxTimeMs: null }), ANA, { resumes: run.id });
    await store.cancel(next.run.id, 'ana');
    await assert.rejects(store.resume(run.id, ANA), /resumed already/);
    // A resumed run that had no time to get on hands down where it was to begin.
    const third = await store.resume(next.run.id, ANA, { idempotencyKey: 'k' });
    assert.equal((await store.resume(next.run.id, ANA, { idempotencyKey: 'k' })).run.id, third.run.id);
    const ended = await store.execute(
      third.run,
      async ({ resumeFrom }) => {
        assert.deepEqual(resumeFrom, { after: '7' });
        return EQUAL;
      },
      never,
    );
    assert.equal(ended.state, 'equal');
    await assert.rejects(store.resume(third.run.id, ANA), NotResumable);
    await assert.rejects(store.resume(randomUUID(), ANA), /there is no run/);
  });
});
