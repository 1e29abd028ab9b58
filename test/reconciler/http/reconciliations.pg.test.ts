import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { RunStore } from '../../../src/reconciler/runs/run-store.ts';
import type { Difference, RunRecorder } from '../../../src/reconciler/types.ts';
import { until } from '../../support/until.ts';
import { startApi } from './api-rig.ts';
import { allEvents } from './server-sent-events.ts';

interface RunAnswer {
  id: string;
  url: string;
  state: string;
  ended: boolean;
  options: Record<string, unknown>;
  asker: { trigger: string; name: string };
  resumes: string | null;
}
interface ProblemAnswer {
  type: string;
  running?: string;
  errors?: { pointer?: string; detail: string }[];
}

const { rig, call, url } = await startApi();
const base = new URL('/api/v1', url).pathname;

async function start(json: unknown = {}, headers: Record<string, string> = {}): Promise<[Response, RunAnswer]> {
  const response = await call('POST', '/reconciliations', { json, headers });
  return [response, (await response.json()) as RunAnswer];
}

async function get(id: string): Promise<RunAnswer> {
  return (await (await call('GET', `/reconciliations/${id}`)).json()) as RunAnswer;
}

async function end(id: string, state: 'equal' | 'undecided' = 'equal'): Promise<void> {
  await until(async () => (await get(id)).state === 'running', 'the run to begin');
  rig.finish(state);
  await until(async () => (await get(id)).ended, 'the run to end');
}

async function mistakes(json: unknown): Promise<Record<string, string>> {
  const response = await call('POST', '/reconciliations', { json });
  assert.equal(response.status, 400, JSON.stringify(json));
  const { errors } = (await response.json()) as ProblemAnswer;
  return Object.fromEntries(errors!.map(({ pointer, detail }) => [pointer, detail]));
}

async function actions(): Promise<string[]> {
  const { entries } = await rig.store.listAudit({ limit: 1_000 });
  return entries.map(({ actor, role, action, object }) => `${actor} (${role}): ${action} ${object}`);
}

/** Counts how often a run is read from the history. */
function countLooks() {
  let looks = 0;
  rig.store.get = (id) => {
    looks += 1;
    return RunStore.prototype.get.call(rig.store, id);
  };
  return {
    more: (count: number) => {
      const enough = looks + count;
      return until(() => looks >= enough, 'the run to be looked at');
    },
    stop: () => Reflect.deleteProperty(rig.store, 'get'),
  };
}

function difference(place: number): Difference {
  return {
    connector: 'epsa',
    kind: place % 2 === 0 ? 'row' : 'document',
    table: 'public.rar',
    key: { id_epsa: String(place) },
    documents: [String(place)],
    path: 'nombre',
    expected: 'á',
    actual: null,
    wrong: 'replica',
    since: '0/1',
    outcome: 'found',
    reason: null,
  };
}

describe('asking for a reconciliation', () => {
  it('starts it, audited, and tells where it is', async () => {
    const [response, run] = await start();
    assert.equal(response.status, 202);
    assert.equal(response.headers.get('location'), `${base}/reconciliations/${run.id}`);
    assert.equal(run.url, `${base}/reconciliations/${run.id}`);
    assert.deepEqual(run.asker, { trigger: 'http', name: 'olga' });
    assert.deepEqual(run.options, {
      mode: 'repair',
      direct: false,
      connectors: ['epsa', 'places'],
      ids: null,
      tables: null,
      target: null,
      stopAfter: null,
      maxTimeMs: null,
    });
    assert.ok((await actions()).includes(`olga (operator): reconciliation.start ${run.id}`));
    await end(run.id);
    assert.equal((await get(run.id)).state, 'equal');
  });

  it('takes every option', async () => {
    const json = { mode: 'verify', connector: 'epsa', ids: [17, '18', 17], stopAfter: 3, maxTime: '10m' };
    const [, run] = await start(json);
    const { mode, connectors, ids, stopAfter, maxTimeMs } = run.options;
    assert.deepEqual([mode, connectors, ids, stopAfter, maxTimeMs], ['verify', ['epsa'], ['17', '18'], 3, 600_000]);
    await end(run.id);
    const [, rows] = await start({ connector: ['epsa'], tables: ['rar', 'public.localidad'], maxTime: 90 });
    assert.deepEqual([rows.options.tables, rows.options.maxTimeMs], [['public.rar', 'public.localidad'], 90_000]);
    await end(rows.id);
    const [, restore] = await start({ mode: 'restore', connector: 'epsa', target: 'backup' });
    assert.deepEqual([restore.options.mode, restore.options.target], ['restore', 'backup']);
    await end(restore.id);
    const [, direct] = await start({ direct: true });
    assert.equal(direct.options.direct, true);
    await end(direct.id);
  });

  it('without a body asks for everything', async () => {
    const response = await call('POST', '/reconciliations');
    assert.equal(response.status, 202);
    await end(((await response.json()) as RunAnswer).id);
  });

  it('names what it does not know, and the nearest', async () => {
    const found = await mistakes({ mode: 'verfiy', connecter: 'epsa', stopAfter: 0 });
    assert.match(found['/mode']!, /expected one of verify, repair, restore: did you mean verify\?/);
    assert.match(found['/connecter']!, /did you mean connector\?/);
    assert.ok(found['/stopAfter']);
    const names = await mistakes({
      connector: ['epsa', 'placse'],
      tables: ['public.localidda', 'rra'],
      maxTime: 'soon',
    });
    assert.match(names['/connector/1']!, /did you mean places\?/);
    assert.match(names['/tables/0']!, /did you mean public\.localidad\?/);
    assert.match(names['/tables/1']!, /did you mean public\.rar\?/);
    assert.match(names['/maxTime']!, /10m/);
    assert.deepEqual(Object.keys(await mistakes({ ids: ['17', 'x', '', 1.5] })), ['/ids/3']);
    assert.deepEqual(Object.keys(await mistakes({ ids: ['17', 'x', ''] })), ['/ids/1', '/ids/2']);
    assert.match((await mistakes({ connector: 'zzz' }))['/connector']!, /there is epsa, places/);
  });

  it('refuses contradictions', async () => {
    assert.ok((await mistakes({ ids: [1], tables: ['rar'] }))['/tables']);
    assert.ok((await mistakes({ direct: true, tables: ['rar'] }))['/tables']);
    assert.ok((await mistakes({ target: 'backup' }))['/target']);
    assert.ok((await mistakes({ mode: 'restore' }))['/target']);
    assert.ok((await mistakes({ mode: 'restore', target: 'backup', ids: [1] }))['/ids']);
    assert.ok((await mistakes({ mode: 'restore', target: 'a b' }))['/target']);
    assert.match(
      (await mistakes({ mode: 'restore', target: 'sync', connector: 'epsa' }))['/target']!,
      /live set of epsa/,
    );
    const [response, run] = await start({ mode: 'restore', target: 'sync', connector: 'places' });
    assert.equal(response.status, 202, 'the adapter restore has no other way');
    await end(run.id);
  });

  it('while another runs answers 409 with a link to it', async () => {
    const [, running] = await start({ connector: 'epsa' });
    const response = await call('POST', '/reconciliations', { json: {} });
    assert.equal(response.status, 409);
    const problem = (await response.json()) as ProblemAnswer;
    assert.equal(problem.running, running.url);
    assert.equal(response.headers.get('link'), `<${running.url}>; rel="related"`);
    assert.equal((await call('GET', problem.running!.slice(base.length))).status, 200);
    const [other, places] = await start({ connector: 'places' });
    assert.equal(other.status, 202, 'another connector is free');
    await until(async () => (await get(places.id)).state === 'running', 'both to begin');
    await end(running.id);
    await until(async () => (await get(places.id)).ended, 'both to end');
  });

  it('again with the same Idempotency-Key answers the same run', async () => {
    const headers = { 'idempotency-key': randomUUID() };
    const json = { mode: 'verify', connector: 'epsa' };
    const [first, run] = await start(json, headers);
    const audited = (await actions()).length;
    const [again, same] = await start({ connector: ['epsa'], mode: 'verify' }, headers);
    assert.deepEqual([first.status, again.status], [202, 200]);
    assert.equal(same.id, run.id);
    assert.equal(again.headers.get('location'), first.headers.get('location'));
    assert.equal((await actions()).length, audited, 'nothing was done');
    await end(run.id);
    assert.equal((await start(json, headers))[1].id, run.id);
    const other = await call('POST', '/reconciliations', { json: { mode: 'repair' }, headers });
    assert.equal(other.status, 422);
    const long = await call('POST', '/reconciliations', { json, headers: { 'idempotency-key': 'x'.repeat(201) } });
    assert.equal(long.status, 400);
  });

  it('resumes a run once, with its options', async () => {
    const [, run] = await start({ mode: 'verify', connector: 'places', ids: [5] });
    await end(run.id, 'undecided');
    assert.ok((await mistakes({ resume: run.id, mode: 'repair' }))['/mode']);
    assert.ok((await mistakes({ resume: 'x' }))['/resume']);
    const [response, resumed] = await start({ resume: run.id });
    assert.equal(response.status, 202);
    assert.equal(resumed.resumes, run.id);
    assert.deepEqual(resumed.options, run.options);
    await end(resumed.id);
    for (const id of [run.id, randomUUID()]) {
      const refused = await call('POST', '/reconciliations', { json: { resume: id } });
      assert.equal(refused.status, 409);
      assert.equal(((await refused.json()) as ProblemAnswer).type, 'urn:siirays-sync:problem:not-resumable');
    }
  });
});

describe('the list of runs', () => {
  it('comes in pages with links, filtered', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) {
      const [, run] = await start({ mode: 'verify', connector: 'places', stopAfter: 77 });
      await end(run.id);
      ids.unshift(run.id);
    }
    const filter = 'mode=verify&connector=places&trigger=http&state=equal';
    const found: string[] = [];
    let path: string | undefined = `${base}/reconciliations?limit=2&${filter}`;
    while (path !== undefined) {
      const response = await call('GET', path.slice(base.length));
      const { runs, next } = (await response.json()) as { runs: RunAnswer[]; next: string | null };
      assert.ok(runs.length <= 2);
      assert.ok(runs.every(({ options, state }) => options.mode === 'verify' && state === 'equal'));
      found.push(...runs.map(({ id }) => id));
      path = /^<(.*)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1];
      assert.equal(path === undefined, next === null);
    }
    assert.deepEqual(found.slice(0, 5), ids);
    assert.equal(new Set(found).size, found.length);
    const none = await (await call('GET', '/reconciliations?state=failed')).json();
    assert.deepEqual(none, { runs: [], next: null });
    assert.equal((await call('GET', '/reconciliations?before=x')).status, 400);
  });
});

describe('one run', () => {
  it('that there is not: 404', async () => {
    for (const id of ['x', randomUUID()]) {
      for (const rest of ['', '/differences', '/events']) {
        assert.equal((await call('GET', `/reconciliations/${id}${rest}`)).status, 404);
      }
      assert.equal((await call('DELETE', `/reconciliations/${id}`)).status, 404);
    }
  });

  it('is cancelled by whoever asks, audited', async () => {
    const [, run] = await start({ connector: 'epsa' });
    await until(async () => (await get(run.id)).state === 'running', 'the run to begin');
    const response = await call('DELETE', `/reconciliations/${run.id}`);
    assert.equal(response.status, 202);
    await until(async () => (await get(run.id)).state === 'cancelled', 'the run to end');
    const line = `olga (operator): reconciliation.cancel ${run.id}`;
    assert.equal((await actions()).filter((action) => action === line).length, 1);
    const again = await call('DELETE', `/reconciliations/${run.id}`);
    assert.deepEqual([again.status, ((await again.json()) as RunAnswer).state], [200, 'cancelled']);
    assert.equal((await actions()).filter((action) => action === line).length, 1, 'nothing was done');
  });

  it('gives its differences in pages, or all as lines', async () => {
    const before = rig.work;
    rig.work = async (recorder: RunRecorder) => {
      await recorder.differences(Array.from({ length: 2_500 }, (_, place) => difference(place)));
      return { state: 'differences' };
    };
    const [, run] = await start({ mode: 'verify', connector: 'epsa' });
    rig.work = before;
    await until(async () => (await get(run.id)).ended, 'the run to end');
    const path = `/reconciliations/${run.id}/differences`;

    const response = await call('GET', `${path}?limit=3&kind=row`);
    const page = (await response.json()) as { differences: (Difference & { place: number })[]; next: number };
    assert.deepEqual(
      page.differences.map(({ documents }) => documents[0]),
      ['0', '2', '4'],
    );
    const link = /^<(.*)>; rel="next"$/.exec(response.headers.get('link')!)![1]!;
    const second = (await (await call('GET', link.slice(base.length))).json()) as typeof page;
    assert.deepEqual(
      second.differences.map(({ documents }) => documents[0]),
      ['6', '8', '10'],
    );

    const lines = await call('GET', `${path}?kind=document`, { headers: { accept: 'application/x-ndjson' } });
    assert.equal(lines.headers.get('content-type'), 'application/x-ndjson');
    const all = (await lines.text())
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Difference);
    assert.equal(all.length, 1_250);
    assert.ok(all.every(({ kind }) => kind === 'document'));
    const { place: _, ...first } = all[0] as Difference & { place: number };
    assert.deepEqual(first, difference(1));

    const head = await call('HEAD', path, { headers: { accept: 'application/x-ndjson' } });
    assert.deepEqual([head.status, await head.text()], [200, '']);
    assert.equal((await call('GET', path, { headers: { accept: 'text/html' } })).status, 406);
  });

  it('is followed until its end', async () => {
    const step = Promise.withResolvers<void>();
    const before = rig.work;
    rig.work = async (recorder: RunRecorder) => {
      await step.promise;
      recorder.progress({ phase: 'rows', rows: 12 });
      return { state: 'equal' };
    };
    const [, run] = await start({ connector: 'epsa' });
    rig.work = before;
    const headers = { 'last-event-id': '17' };
    const streams = await Promise.all(
      [1, 2].map(() => call('GET', `/reconciliations/${run.id}/events`, { user: 'vera', headers })),
    );
    for (const response of streams) {
      assert.equal(response.headers.get('content-type'), 'text/event-stream; charset=utf-8');
      assert.equal(response.headers.get('cache-control'), 'no-store');
    }
    const looks = countLooks();
    const telling = streams.map((response) => allEvents(response));
    await looks.more(5);
    step.resolve();
    const told = await Promise.all(telling);
    looks.stop();
    for (const events of told) {
      assert.ok(events.length >= 3);
      assert.ok(events.slice(0, -1).every(({ event }) => event === 'progress'));
      assert.equal(new Set(events.map(({ data }) => JSON.stringify(data))).size, events.length - 1, 'only what is new');
      const last = events.at(-1)!;
      assert.deepEqual([last.event, last.id, (last.data as RunAnswer).state], ['end', 'end', 'equal']);
    }
    const late = await call('GET', `/reconciliations/${run.id}/events`);
    const events = await allEvents(late);
    assert.deepEqual(
      events.map(({ event }) => event),
      ['progress', 'end'],
    );
    const again = await call('GET', `/reconciliations/${run.id}/events`, { headers: { 'last-event-id': 'end' } });
    assert.equal(again.status, 204);
    assert.equal((await call('HEAD', `/reconciliations/${run.id}/events`)).status, 200);
  });
});
