import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InvalidPageToken } from '../../../src/reconciler/runs/page-token.ts';
import type { RunStore } from '../../../src/reconciler/runs/run-store.ts';
import type { Asker, Outcome, RunFunction, RunOptions } from '../../../src/reconciler/types.ts';
import { testDatabase } from '../../support/postgres.ts';
import { ANA, difference, EQUAL, freshStores, longWork, never, runOptions } from './stores.ts';

const database = await testDatabase();

/** Makes and executes a run. @returns its id */
async function done(
  store: RunStore,
  options: Partial<RunOptions> = {},
  work: RunFunction = async () => EQUAL,
  asker: Asker = ANA,
): Promise<string> {
  const { run } = await store.create(runOptions(options), asker);
  await store.execute(run, work, never);
  return run.id;
}

const ending = (state: Outcome['state']) => async (): Promise<Outcome> => ({ state });
const fails = () => Promise.reject(new Error('no'));

describe('listing', () => {
  test('pages hold every run once, newest first, also when several were asked for at one moment', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    const made: string[] = [];
    for (let i = 0; i < 9; i++) made.push(await done(store));
    await stores.sql(`UPDATE :schema.run SET requested_at = '2026-01-01 00:00:00.123456Z' WHERE id = ANY ($1)`, [
      made.slice(0, 4),
    ]);
    const seen: string[] = [];
    const times: number[] = [];
    for (let before: string | undefined, pages = 0; ; pages++) {
      assert.ok(pages < 10);
      const { runs, next } = await store.list({ before, limit: 2 });
      seen.push(...runs.map(({ id }) => id));
      times.push(...runs.map(({ requestedAt }) => requestedAt));
      if (next === null) break;
      // What comes meanwhile shifts no page.
      await done(store);
      before = next;
    }
    assert.deepEqual([...seen].sort(), [...made].sort());
    assert.deepEqual(
      times,
      times.toSorted((a, b) => b - a),
    );
    await assert.rejects(store.list({ before: 'bm9uc2Vuc2U', limit: 2 }), InvalidPageToken);
  });

  test('filters by state, mode, connector, trigger and asker', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    const nightly: Asker = { trigger: 'schedule', name: 'nightly' };
    const a = await done(store, { mode: 'repair', connectors: ['a', 'b'] }, ending('repaired'), nightly);
    const b = await done(store, { connectors: ['b'] }, ending('differences'));
    const c = await done(store, { connectors: ['a'] }, fails);
    const ids = async (filter: Omit<Parameters<RunStore['list']>[0], 'limit'>) =>
      (await store.list({ ...filter, limit: 10 })).runs.map(({ id }) => id);
    assert.deepEqual(await ids({}), [c, b, a]);
    assert.deepEqual(await ids({ state: 'failed' }), [c]);
    assert.deepEqual(await ids({ mode: 'repair' }), [a]);
    assert.deepEqual(await ids({ connector: 'b' }), [b, a]);
    assert.deepEqual(await ids({ trigger: 'http', connector: 'a' }), [c]);
    assert.deepEqual(await ids({ trigger: 'schedule', asker: 'nightly' }), [a]);
    assert.deepEqual(await ids({ trigger: 'schedule', asker: 'weekly' }), []);
  });
});

describe('the last success', () => {
  test('is the end of the last run that proved a whole connector', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    assert.equal(await store.lastSuccess('epsa'), null);
    const id = await done(store, { connectors: ['epsa', 'other'] }, ending('repaired'));
    await done(store, { ids: ['1'] });
    await done(store, { tables: ['public.epsa'] });
    await done(store, { mode: 'restore', target: 'backup' });
    await done(store, {}, ending('differences'));
    await done(store, {}, fails);
    const { endedAt } = (await store.get(id))!;
    assert.equal(await store.lastSuccess('epsa'), endedAt);
    assert.equal(await store.lastSuccess('other'), endedAt);
    assert.equal(await store.lastSuccess('third'), null);
  });
});

describe('the last verdict', () => {
  test('is of a run that decided all of the connector, whatever it found and left of others', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    const of = async (connector: string) => [await store.lastVerdict(connector), await store.lastSuccess(connector)];
    const ends = (state: Outcome['state'], incomplete?: string[]) => async (): Promise<Outcome> => ({
      ...{ state, incomplete },
    });
    await done(store, {}, ends('undecided'));
    await done(store, {}, ends('differences', ['epsa']));
    await done(store, {}, fails);
    await done(store, { ids: ['1'] }, ends('differences', []));
    await done(store, { tables: ['public.epsa'] });
    await done(store, { mode: 'restore', target: 'backup' });
    assert.deepEqual(await of('epsa'), [null, null]);
    const two = { connectors: ['epsa', 'other'] };
    const half = (await store.get(await done(store, two, ends('undecided', ['epsa']))))!;
    assert.deepEqual(await of('epsa'), [null, null]);
    assert.deepEqual(await of('other'), [half.endedAt, null]);
    const whole = (await store.get(await done(store, two, ends('differences', []))))!;
    assert.deepEqual(await of('epsa'), [whole.endedAt, null]);
    assert.deepEqual([half.incomplete, whole.incomplete], [['epsa'], []]);
    // One whose process does not say it (an earlier version, a killed one) proves nothing.
    await stores.sql('UPDATE :schema.run SET incomplete = NULL');
    assert.deepEqual(await of('epsa'), [null, null]);
    assert.deepEqual((await store.get(whole.id))!.incomplete, ['epsa', 'other']);
    const success = (await store.get(await done(store, { stopAfter: 5 })))!;
    assert.deepEqual(await of('epsa'), [success.endedAt, success.endedAt]);
  });

  test('of runs from before it was told apart, counts only what surely was one', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    const equal = await done(store);
    const dead = await done(store, {}, ending('differences'));
    const noting: RunFunction = async (recorder) => {
      recorder.note('3 rows kept changing');
      return { state: 'differences' };
    };
    const noted = await done(store, {}, noting);
    await stores.sql('ALTER TABLE :schema.run DROP COLUMN incomplete, DROP COLUMN unknown_ids');
    await stores.sql('ALTER TABLE :schema.proof DROP COLUMN met_at');
    await stores.sql(`DELETE FROM :schema.migration WHERE name = '002-verdict.sql'`);
    await store.migrate();
    const incomplete = async (id: string) => (await store.get(id))!.incomplete;
    assert.deepEqual([await incomplete(equal), await incomplete(dead), await incomplete(noted)], [[], [], ['epsa']]);
  });

  test('ids that no side knows stand with the run, up to a limit', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    const many = Array.from({ length: 1_500 }, (_, i) => `no\0 ${i}`);
    const id = await done(store, { ids: many }, async () => ({ state: 'undecided', unknown: many }));
    const { unknown, incomplete } = (await store.get(id))!;
    assert.deepEqual([unknown.length, unknown[7], incomplete], [1_000, 'no\uFFFD 7', ['epsa']]);
  });
});

describe('proofs', () => {
  test('the age of the oldest is what counts; a later proof replaces an earlier one', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    assert.deepEqual(await store.ageOfProof('epsa'), { oldest: null, newest: null, documents: 0 });
    const run = await done(store);
    await store.proven('epsa', ['1', '2', '3', '2'], run);
    await store.proven('other', ['1'], run);
    await stores.sql(`UPDATE :schema.proof SET proven_at = '2026-01-01Z' WHERE connector = 'epsa' AND id = '1'`);
    const before = await store.ageOfProof('epsa');
    assert.deepEqual([before.oldest, before.documents], [Date.UTC(2026, 0, 1), 3]);
    await store.proven('epsa', ['1'], run);
    const later = await store.ageOfProof('epsa');
    assert.equal(later.documents, 3);
    assert.equal(later.oldest, before.newest);
    assert.ok(later.newest! >= before.newest!);
    await store.proven('epsa', [], run);
  });

  test('documents that a run over everything did not meet any more are forgotten', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    const meets =
      (ids: string[], outcome: Outcome = EQUAL): RunFunction =>
      async ({ run }) => {
        await store.proven('epsa', ids, run.id);
        return outcome;
      };
    const documents = async () => (await store.ageOfProof('epsa')).documents;
    await done(store, {}, meets(['1', '2', '3']));
    await done(store, { ids: ['1'] }, meets(['1']));
    await done(store, {}, meets(['1'], { state: 'differences', incomplete: ['epsa'] }));
    await done(store, {}, meets(['1'], { state: 'undecided' }));
    await done(store, {}, fails);
    assert.equal(await documents(), 3, 'what was not looked at may be there');
    // A dead letter is met, and not proven: only what is no more is forgotten.
    await done(store, {}, async ({ run }) => {
      await store.proven('epsa', ['1'], run.id);
      await store.met('epsa', ['3', 'never proven']);
      return { state: 'differences' };
    });
    assert.deepEqual(await stores.sql('SELECT id FROM :schema.proof ORDER BY id'), [{ id: '1' }, { id: '3' }]);
    await store.proven('epsa', ['2', '3'], '00000000-0000-0000-0000-000000000000');
    // In two parts: what the first part met counts.
    const first = await done(store, {}, meets(['1'], { state: 'undecided' }));
    const { run } = await store.resume(first, ANA);
    await store.execute(run, meets(['2']), never);
    assert.equal(await documents(), 2);
  });
});

describe('pruning', () => {
  test('deletes what is too old or too many with its differences; keeps what runs, and the last success', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open({ keep: { days: 30, runs: 3, differencesPerRun: 100 } });
    const success = await done(store);
    const finds: RunFunction = async (recorder) => {
      await recorder.differences([difference()]);
      return { state: 'differences' };
    };
    for (let i = 0; i < 45; i++) await done(store, {}, finds);
    const old = await done(store, {}, finds);
    const { work, finish, recorder } = longWork();
    const { run } = await store.create(runOptions(), ANA);
    const executed = store.execute(run, work, never);
    await recorder;
    const fresh = await done(store, { connectors: ['other'] }, finds);
    await stores.sql(`UPDATE :schema.run SET requested_at = requested_at - interval '31 days' WHERE id = ANY ($1)`, [
      [old, run.id],
    ]);
    await store.audit('ana', 'operator', 'pause', 'epsa');
    await stores.sql(`UPDATE :schema.audit SET at = at - interval '31 days'`);
    await store.audit('ana', 'operator', 'resume', 'epsa');
    assert.equal(await store.prune(), 44);
    const left = (await store.list({ limit: 100 })).runs.map(({ id }) => id);
    assert.equal(left.length, 5);
    for (const id of [success, fresh, run.id]) assert.ok(left.includes(id));
    assert.ok(!left.includes(old));
    const differences = await stores.sql('SELECT DISTINCT run FROM :schema.difference');
    assert.equal(differences.length, 3, 'no differences without a run');
    assert.deepEqual(
      (await store.listAudit({ limit: 5 })).entries.map(({ action }) => action),
      ['resume'],
    );
    finish();
    assert.equal((await executed).state, 'equal');
  });
});

describe('the audit trail', () => {
  test('is paged newest first', async () => {
    const stores = await freshStores(database.url);
    const store = stores.open();
    for (let i = 0; i < 5; i++) await store.audit('ana', 'operator', 'cancel', `run ${i}`, { i });
    const first = await store.listAudit({ limit: 3 });
    assert.deepEqual(
      first.entries.map(({ object }) => object),
      ['run 4', 'run 3', 'run 2'],
    );
    const { at, id, ...entry } = first.entries[0]!;
    assert.deepEqual(entry, { actor: 'ana', role: 'operator', action: 'cancel', object: 'run 4', detail: { i: 4 } });
    const rest = await store.listAudit({ before: first.next!, limit: 3 });
    assert.deepEqual(
      rest.entries.map(({ object }) => object),
      ['run 1', 'run 0'],
    );
    assert.equal(rest.next, null);
    await assert.rejects(store.listAudit({ before: 'x', limit: 3 }), InvalidPageToken);
  });
});
