import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { IdempotencyConflict, LeaseLost, NotResumable } from '../../../src/reconciler/runs/run-errors.ts';
import { type Run, RunConflict } from '../../../src/reconciler/types.ts';
import { testDatabase } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { ANA, difference, EQUAL, freshStores, longWork, never, runOptions } from './stores.ts';

const database = await testDatabase();
/** Short, for tests that wait for a run to count as killed. */
const SILENT_MS = 2_000;

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

describe('executing', () => {
  test('what the run tells is readable while it works, and all of it when it has ended', async () => {
    const stores = await freshStores(database.url);
    const [store, reader] = [stores.open(), stores.open()];
    const { run } = await store.create(runOptions(), ANA);
    assert.deepEqual([run.state, run.startedAt, run.progress.phase], ['queued', null, 'waiting']);
    const { work, finish, recorder } = longWork();
    const executed = store.execute(run, work, never);
    const told = await recorder;
    assert.equal(told.resumeFrom, null);
    await told.differences([difference(), difference({ kind: 'document', outcome: 'repaired', key: null })]);
    told.progress({ phase: 'rows', rows: 7, rowsTotal: 9 }, { table: 'a', after: ['5'] });
    told.note('slow');
    told.note('slow');
    told.position(3, 'A/FF');
    const seen = await until(async () => {
      const now = (await reader.get(run.id))!;
      return now.progress.rows === 7 ? now : null;
    }, 'the progress to be readable');
    assert.ok(seen);
    assert.equal(seen.state, 'running');
    assert.deepEqual(seen.found, { row: 1, document: 1 });
    assert.deepEqual([seen.repaired, seen.left], [{ document: 1 }, {}]);
    assert.deepEqual([seen.notes, seen.history, seen.lsn], [['slow'], 3, 'A/FF']);
    const half = await reader.differences(run.id, { limit: 1 });
    assert.deepEqual(half, { differences: [{ ...difference(), place: 1 }], next: 1 });
    told.progress({ phase: 'done', rows: 9 });
    await told.differences([difference({ outcome: 'left', reason: 'it kept changing' })]);
    finish({ state: 'differences' });
    const ended = await executed;
    assert.deepEqual(ended, await reader.get(run.id));
    assert.deepEqual([ended.state, ended.progress.rows, ended.left], ['differences', 9, { row: 1 }]);
    assert.ok(ended.requestedAt <= ended.startedAt! && ended.startedAt! <= ended.endedAt!);
    const rest = await reader.differences(run.id, { after: 1, limit: 10 });
    assert.deepEqual(
      rest.differences.map(({ place }) => place),
      [2, 3],
    );
    assert.equal(rest.next, null);
    const documents = await reader.differences(run.id, { kind: 'document', limit: 10 });
    assert.deepEqual(
      documents.differences.map(({ place }) => place),
      [2],
    );
    assert.deepEqual(await stores.sql('SELECT FROM :schema.lease'), []);
  });

  test('an error of the work is kept with its causes, and fails nobody else', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    const { run } = await store.create(runOptions(), ANA);
    const fails = () => Promise.reject(new Error('it broke\0 here', { cause: new Error('the reason below') }));
    const ended = await store.execute(run, fails, never);
    assert.equal(ended.state, 'failed');
    assert.equal(ended.error?.message, 'it broke\uFFFD here');
    assert.match(ended.error.stack!, /run-store\.pg\.test\.ts.*caused by.*the reason below/s);
    const { run: next } = await store.create(runOptions(), ANA);
    const throws = () => {
      throw new Error('at once');
    };
    assert.equal((await store.execute(next, throws, never)).error?.message, 'at once');
  });

  test('differences beyond the limit are counted and not kept, however many come at once', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open({ keep: { days: 1, runs: 10, differencesPerRun: 2_500 } });
    const { run } = await store.create(runOptions(), ANA);
    const many = Array.from({ length: 4_000 }, (_, i) => difference({ key: { id: String(i) } }));
    const ended = await store.execute(
      run,
      async (recorder) => {
        for (let at = 0; at < many.length; at += 800) await recorder.differences(many.slice(at, at + 800));
        return { state: 'differences' };
      },
      never,
    );
    assert.deepEqual(ended.found, { row: 4_000 });
    assert.deepEqual(ended.notes, ['1500 more differences were counted and not kept']);
    const { differences } = await store.differences(run.id, { limit: 10_000 });
    assert.deepEqual(
      differences.map(({ key }) => key?.id),
      many.slice(0, 2_500).map(({ key }) => key?.id),
    );
  });

  test('halves of characters and zero bytes in values lose nothing else', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open({ silentMs: SILENT_MS });
    const { run } = await store.create(runOptions(), ANA);
    const expected = 'x\u{1F600}'.slice(0, 2);
    const ended = await store.execute(
      run,
      async (recorder) => {
        await recorder.differences([difference({ expected, actual: 'a\0b' })]);
        recorder.note(`cut ${expected}`);
        return { state: 'differences' };
      },
      never,
    );
    assert.equal(ended.state, 'differences');
    const { differences } = await store.differences(run.id, { limit: 1 });
    assert.deepEqual([differences[0]!.expected, differences[0]!.actual], ['x\uFFFD', 'a\uFFFDb']);
  });

  test('work that waits for longer than the silence is no killed run', async () => {
    const stores = await freshStores(database.url);
    const [store, reader] = [stores.open({ silentMs: SILENT_MS }), stores.open({ silentMs: SILENT_MS })];
    const { run } = await store.create(runOptions(), ANA);
    const { work, finish } = longWork();
    const executed = store.execute(run, work, never);
    const started = performance.now();
    await until(
      async () => {
        const now = (await reader.get(run.id))!;
        assert.ok(now.state === 'queued' || now.state === 'running', now.state);
        await assert.rejects(reader.create(runOptions(), ANA), RunConflict);
        return performance.now() - started > 2 * SILENT_MS;
      },
      'twice the silence',
      30_000,
    );
    finish();
    assert.equal((await executed).state, 'equal');
  });

  test('when the process is asked to end, the run is interrupted at once, with all it has told', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    const { run } = await store.create(runOptions(), ANA);
    const ending = new AbortController();
    const stubborn = longWork();
    const executed = store.execute(run, stubborn.work, ending.signal);
    const recorder = await stubborn.recorder;
    await recorder.differences([difference()]);
    recorder.progress({ rows: 5 }, { after: '5' });
    ending.abort(new Error('SIGTERM'));
    const ended = await executed;
    assert.deepEqual([ended.state, ended.found, ended.progress.rows], ['interrupted', { row: 1 }, 5]);
    const { run: next, existing } = await stores.open().resume(run.id, ANA);
    assert.equal(existing, false);
    assert.equal(next.resumes, run.id);
    assert.equal((await store.get(run.id))?.resumedBy, next.id);
    await store.execute(
      next,
      async ({ resumeFrom }) => {
        assert.deepEqual(resumeFrom, { after: '5' });
        return EQUAL;
      },
      never,
    );
    assert.equal((await store.get(next.id))?.state, 'equal');
  });

  test('work that does not stop when the process ends holds nobody up for long', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    const { run } = await store.create(runOptions(), ANA);
    const ending = new AbortController();
    const executed = store.execute(run, () => new Promise(() => undefined), ending.signal);
    await until(async () => (await store.get(run.id))?.state === 'running', 'the run to begin');
    ending.abort();
    assert.equal((await executed).state, 'interrupted');
  });

  test('a run is executed once', async () => {
    const stores = await freshStores(database.url);
    const [one, two] = [stores.open(), stores.open()];
    const { run } = await one.create(runOptions(), ANA);
    const { work, finish, recorder } = longWork();
    const executed = one.execute(run, work, never);
    await recorder;
    await assert.rejects(
      two.execute(run, async () => EQUAL, never),
      LeaseLost,
    );
    finish();
    await executed;
    const again = await two.execute(run, async () => assert.fail('it has ended'), never);
    assert.equal(again.state, 'equal');
  });
});

describe('a killed run', () => {
  async function killed(): Promise<{
    stores: Awaited<ReturnType<typeof freshStores>>;
    run: Run;
    outcome: Promise<unknown>;
  }> {
    const stores = await freshStores(database.url);
    const { store, kill } = stores.openMortal({ silentMs: SILENT_MS });
    const { run } = await store.create(runOptions(), ANA);
    const { work, recorder } = longWork();
    const outcome = store.execute(run, work, never).catch((error: unknown) => error);
    const told = await recorder;
    await told.differences([difference()]);
    told.progress({ rows: 5 }, { after: '5' });
    await until(async () => (await stores.open().get(run.id))?.progress.rows === 5, 'the progress to be written');
    kill();
    return { stores, run, outcome };
  }

  test('shows as interrupted before anybody has touched it, with what it had found', async () => {
    const { stores, run } = await killed();
    const reader = stores.open({ silentMs: SILENT_MS });
    const seen = await until(async () => {
      const now = (await reader.get(run.id))!;
      return now.state === 'interrupted' ? now : null;
    }, 'the run to show as interrupted');
    assert.ok(seen);
    assert.deepEqual(await stores.sql('SELECT state FROM :schema.run'), [{ state: 'running' }]);
    assert.equal(seen.error?.message, 'the process that ran it has ended');
    assert.ok(seen.endedAt! >= seen.startedAt!);
    assert.deepEqual([seen.progress.rows, seen.found], [5, { row: 1 }]);
    assert.equal((await reader.differences(run.id, { limit: 10 })).differences.length, 1);
    assert.deepEqual(await reader.running(), []);
    assert.equal((await reader.list({ state: 'interrupted', limit: 5 })).runs.length, 1);
    assert.equal((await reader.list({ state: 'running', limit: 5 })).runs.length, 0);
    assert.equal((await reader.cancel(run.id, 'ana'))?.state, 'interrupted');
  });

  test('gives way to exactly one of those who want its connector, and can be resumed at its cursor', async () => {
    const { stores, run, outcome } = await killed();
    const processes = Array.from({ length: 8 }, () => stores.open({ silentMs: SILENT_MS }));
    await assert.rejects(processes[0]!.create(runOptions(), ANA), RunConflict, 'it may live still');
    await until(async () => (await processes[0]!.get(run.id))?.state === 'interrupted', 'the silence');
    const results = await Promise.allSettled(processes.map((store) => store.resume(run.id, ANA)));
    const won = results.filter((result) => result.status === 'fulfilled');
    assert.equal(won.length, 1);
    for (const result of results) {
      if (result.status === 'rejected') assert.ok(result.reason instanceof NotResumable, String(result.reason));
    }
    assert.deepEqual(
      await stores.sql('SELECT state, ended_at = seen_at AS silent FROM :schema.run WHERE id = $1', [run.id]),
      [{ state: 'interrupted', silent: true }],
    );
    await processes[0]!.execute(
      won[0]!.value.run,
      async ({ resumeFrom }) => {
        assert.deepEqual(resumeFrom, { after: '5' });
        return EQUAL;
      },
      never,
    );
    assert.ok((await outcome) instanceof LeaseLost, 'the dead process learns that it has lost the run');
  });

  test('that comes back after it was replaced can write nothing more', async () => {
    const stores = await freshStores(database.url);
    const [late, other] = [stores.open(), stores.open()];
    const { run } = await late.create(runOptions(), ANA);
    const { work, recorder } = longWork();
    const outcome = late.execute(run, work, never).catch((error: unknown) => error);
    const told = await recorder;
    // As if the process had stood still: the others have not heard of it for long.
    const old = `UPDATE :schema.run SET seen_at = seen_at - interval '1 hour' WHERE id = $1 AND state = 'running'`;
    const next = await until(async () => {
      await stores.sql(old, [run.id]);
      return other.create(runOptions(), ANA).catch(() => null);
    }, 'the run to be taken over');
    await told.differences([difference()]).catch(() => undefined);
    assert.ok((await outcome) instanceof LeaseLost);
    assert.ok(told.signal.reason instanceof LeaseLost);
    const seen = (await other.get(run.id))!;
    assert.deepEqual([seen.state, seen.found], ['interrupted', {}]);
    assert.equal((await other.differences(run.id, { limit: 5 })).differences.length, 0);
    assert.deepEqual(await stores.sql('SELECT run FROM :schema.lease'), [{ run: next?.run.id }]);
  });

  test('survives a moment without the database', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    const { run } = await store.create(runOptions(), ANA);
    const { work, finish, recorder } = longWork();
    const executed = store.execute(run, work, never);
    const told = await recorder;
    told.progress({ rows: 1 });
    await until(async () => (await store.get(run.id))?.progress.rows === 1, 'the progress');
    await stores.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%"${stores.schema}"%'`);
    told.progress({ rows: 2 });
    await told.differences([difference()]);
    finish({ state: 'differences' });
    const ended = await executed;
    assert.deepEqual([ended.state, ended.progress.rows, ended.found], ['differences', 2, { row: 1 }]);
    assert.equal((await stores.open().differences(run.id, { limit: 5 })).differences.length, 1);
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
