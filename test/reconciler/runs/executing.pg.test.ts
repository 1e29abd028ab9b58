import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LeaseLost } from '../../../src/reconciler/runs/run-errors.ts';
import { RunConflict } from '../../../src/reconciler/types.ts';
import { testDatabase } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { ANA, difference, EQUAL, freshStores, longWork, never, runOptions } from './stores.ts';

const database = await testDatabase();
/** Short, for tests that wait for a run to count as killed. */
const SILENT_MS = 2_000;

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

  test('a repair that was asked for is stored before it is waited for, and then what became of it', async () => {
    const stores = await freshStores(database.url);
    const [store, reader] = [stores.open({ keep: { days: 1, runs: 10, differencesPerRun: 3 } }), stores.open()];
    const { run } = await store.create(runOptions({ mode: 'repair' }), ANA);
    const { work, finish, recorder } = longWork();
    const executed = store.execute(run, work, never);
    const told = await recorder;
    await told.differences([difference({ outcome: 'left' })]);
    const asked = ['1', '2', '3'].map((id) => difference({ kind: 'document', documents: [id], outcome: 'asked' }));
    const became = await told.asked(asked);
    const outcomes = async () =>
      (await reader.differences(run.id, { limit: 9 })).differences.map(({ documents: [id], outcome }) => [id, outcome]);
    const left = ['1', 'left'];
    assert.deepEqual(await outcomes(), [left, ['1', 'asked'], ['2', 'asked']]);
    const between = (await reader.get(run.id))!;
    assert.deepEqual(
      [between.found, between.left],
      [
        { row: 1, document: 3 },
        { row: 1, document: 3 },
      ],
    );
    became(asked.map((one, at) => ({ ...one, outcome: at === 0 ? 'left' : 'repaired' })));
    finish({ state: 'differences' });
    const ended = await executed;
    assert.deepEqual(await outcomes(), [left, ['1', 'left'], ['2', 'repaired']]);
    assert.deepEqual([ended.found, ended.repaired], [{ row: 1, document: 3 }, { document: 2 }]);
    assert.deepEqual(ended.left, { row: 1, document: 1 });
    assert.deepEqual(ended.notes, ['1 more differences were counted and not kept']);
  });

  test('an error of the work is kept with its causes, and fails nobody else', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    const { run } = await store.create(runOptions(), ANA);
    const fails = () => Promise.reject(new Error('it broke\0 here', { cause: new Error('the reason below') }));
    const ended = await store.execute(run, fails, never);
    assert.equal(ended.state, 'failed');
    assert.equal(ended.error?.message, 'it broke\uFFFD here');
    assert.match(ended.error.stack!, /executing\.pg\.test\.ts.*caused by.*the reason below/s);
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
