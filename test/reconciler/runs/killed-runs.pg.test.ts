import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LeaseLost, NotResumable } from '../../../src/reconciler/runs/run-errors.ts';
import { type Run, RunConflict } from '../../../src/reconciler/types.ts';
import { testDatabase } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { ANA, difference, EQUAL, freshStores, longWork, never, runOptions } from './stores.ts';

const database = await testDatabase();
/** Short, for tests that wait for a run to count as killed. */
const SILENT_MS = 2_000;

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
    await told.asked([difference({ outcome: 'asked' })]);
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
    assert.deepEqual([seen.progress.rows, seen.found, seen.left], [5, { row: 2 }, { row: 1 }]);
    const { differences } = await reader.differences(run.id, { limit: 10 });
    assert.deepEqual(
      differences.map(({ outcome }) => outcome),
      ['found', 'asked'],
      'what it had asked for, too',
    );
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
