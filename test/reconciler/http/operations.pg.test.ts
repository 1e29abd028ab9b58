import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { until } from '../../support/until.ts';
import { startApi } from './api-rig.ts';
import { type ServerSentEvent, serverSentEvents } from './server-sent-events.ts';

type Answer = Record<string, unknown>;

function first(body: Answer): Answer {
  return (body.connectors as Answer[])[0]!;
}

describe('connectors', async () => {
  const { rig, call } = await startApi();
  const get = async (path: string): Promise<Answer> => (await (await call('GET', path)).json()) as Answer;

  it('tell how they stand', async () => {
    const { connectors } = (await get('/connectors')) as { connectors: Answer[] };
    const [epsa, places] = connectors;
    assert.deepEqual([epsa!.name, epsa!.state, epsa!.position, epsa!.lagMs], ['epsa', 'awaiting', null, null]);
    assert.deepEqual([epsa!.root, epsa!.tables], ['public.rar', ['public.rar', 'public.localidad']]);
    assert.deepEqual([places!.name, places!.state], ['places', 'absent']);

    await rig.delivered(2, '0/16B3748');
    const at = first(await get('/status'));
    assert.equal(at.state, 'following');
    const { history, seq, lsn } = at.delivered as Answer;
    assert.deepEqual([history, seq, lsn, at.lagMs, at.pending], [2, '7', '0/16B3748', 0, 0]);
    await rig.addDocument('1', '{}');
    await rig.query(`INSERT INTO :s.outbox VALUES ('1', 3, 1)`);
    await rig.query(`UPDATE :s.document_version SET projected_at = now() - interval '1 hour'`);
    const late = first(await get('/status'));
    assert.equal(late.pending, 1);
    assert.ok((late.lagMs as number) >= 3_600_000, `lag ${late.lagMs} ms`);
    await rig.query('DELETE FROM :s.outbox');
    await rig.query('UPDATE :s.checkpoint SET seq = 8');
    assert.ok((first(await get('/status')).lagMs as number) > 0, 'what is applied is not shown yet');

    await rig.query(`UPDATE :s.checkpoint SET staging_id = 'x'`);
    assert.equal(first(await get('/status')).state, 'loading');
    await rig.query(`UPDATE :s.checkpoint SET request_id = gen_random_uuid(), request_reason = 'hole'`);
    const awaiting = first(await get('/status'));
    assert.deepEqual([awaiting.state, awaiting.reason], ['awaiting', 'hole']);
  });

  it('are paused and resumed, audited where that changes something', async () => {
    for (const [verb, state] of [
      ['pause', true],
      ['pause', true],
      ['resume', false],
    ] as const) {
      const response = await call('POST', `/connectors/epsa/${verb}`);
      assert.equal(response.status, 200);
      assert.equal(((await response.json()) as Answer).paused, state);
      assert.deepEqual(await rig.query('SELECT paused FROM :s.checkpoint'), [{ paused: state }]);
    }
    const { entries } = (await get('/audit')) as { entries: Answer[] };
    assert.deepEqual(
      entries.map(({ actor, role, action, object }) => [actor, role, action, object]),
      [
        ['olga', 'operator', 'connector.resume', 'epsa'],
        ['olga', 'operator', 'connector.pause', 'epsa'],
      ],
    );
    assert.equal((await call('POST', '/connectors/places/pause')).status, 404, 'its consumer never ran');
    assert.match(
      String(((await (await call('POST', '/connectors/espa/pause')).json()) as Answer).detail),
      /mean epsa\?/,
    );
  });

  it('are shown with their runs, proofs and the schedule', async () => {
    rig.scheduled = [{ name: 'nightly', cron: '0 3 * * *', timezone: 'America/La_Paz', at: 1_700_000_000_000 }];
    const { id } = (await (await call('POST', '/reconciliations', { json: { connector: 'epsa' } })).json()) as Answer;
    await rig.store.proven('epsa', ['1', '2'], String(id));
    const status = (await until(async () => {
      const now = await get('/status');
      return (first(now).proof as Answer).documents === 2 ? now : undefined;
    }, 'the proofs to show')) as Answer;
    assert.equal((first(status).running as Answer).id, id);
    assert.equal(first(status).lastSuccessAt, null);
    assert.deepEqual(status.scheduled, [{ ...rig.scheduled[0], at: '2023-11-14T22:13:20.000Z' }]);
    await until(async () => (await get(`/reconciliations/${id}`)).state === 'running', 'the run to begin');
    rig.finish('equal');
    await until(async () => first(await get('/status')).lastSuccessAt !== null, 'the success to show');
    assert.equal(first(await get('/status')).running, null);
  });

  it('cannot be asked about while the database is away: 503', async () => {
    const lost = await startApi();
    await lost.rig.pool.query(`ALTER ROLE CURRENT_USER RESET ALL`);
    await lost.rig.pool.query('DROP SCHEMA reconciler CASCADE');
    assert.equal((await lost.call('GET', '/audit')).status, 500);
    Object.assign(lost.rig.store, { listAudit: () => Promise.reject(Object.assign(new Error(), { code: '57P01' })) });
    const response = await lost.call('GET', '/audit');
    assert.deepEqual([response.status, response.headers.get('retry-after')], [503, '2']);
  });
});

describe('the audit', async () => {
  const { rig, call } = await startApi();

  it('comes in pages', async () => {
    for (let i = 0; i < 5; i++) await rig.store.audit('olga', 'operator', 'test', String(i), { i });
    const objects: unknown[] = [];
    let query = '';
    for (let next: string | null = ''; next !== null; query = `&before=${next}`) {
      const page = (await (await call('GET', `/audit?limit=2${query}`)).json()) as { entries: Answer[]; next: string };
      objects.push(...page.entries.map(({ object }) => object));
      next = page.next;
    }
    assert.deepEqual(objects, ['4', '3', '2', '1', '0']);
    assert.equal((await call('GET', '/audit?before=x')).status, 400);
  });
});

describe('waiting for a commit', async () => {
  const { rig, call } = await startApi();
  const ask = async (path: string): Promise<[number, Answer]> => {
    const response = await call('GET', path);
    return [response.status, (await response.json()) as Answer];
  };

  it('is over at once where FASTAAPS shows it', async () => {
    await rig.delivered(2, '0/16B3748');
    const shown = {
      connector: 'epsa',
      shown: true,
      history: 2,
      lsn: '0/16B3748',
      shows: { history: 2, lsn: '0/16B3748' },
    };
    for (const path of [
      '/positions/2/0%2F16B3748',
      '/positions/2/0/16b3748',
      '/positions/current/0/16B3748?connector=epsa',
    ]) {
      assert.deepEqual(await ask(path), [200, shown], path);
    }
    assert.equal((await ask('/positions/2/0/FF'))[0], 200, 'an LSN is a number, not a text');
  });

  it('ends as soon as FASTAAPS shows it', async () => {
    const waiting = [1, 2, 3].map(() => ask('/positions/2/0/16B3749?timeout=60'));
    await rig.delivered(2, '1/0');
    for (const [status, { shows }] of await Promise.all(waiting)) {
      assert.deepEqual([status, shows], [200, { history: 2, lsn: '1/0' }]);
    }
  });

  it('ends also where nothing of ours is written up to there, as the position of the producer tells', async () => {
    const waiting = ask('/positions/2/1/5?timeout=60');
    rig.produced = { history: 2, seq: 8n, end_lsn: 0x1_0000_0006n };
    assert.equal((await ask('/positions/2/1/5?timeout=0.2'))[0], 504, 'transaction 8 is not shown');
    await rig.query(`UPDATE :s.delivery SET seq = 8`);
    assert.equal((await waiting)[0], 200);
    rig.produced = { history: 1, seq: 1n, end_lsn: 0xff_0000_0000n };
    assert.equal((await ask('/positions/2/1/7?timeout=0'))[0], 504, 'another history tells nothing');
    rig.produced = null;
  });

  it('ends without it when the time is over: no success', async () => {
    for (const [path, history] of [
      ['/positions/2/1/1?timeout=0', 2],
      ['/positions/current/1/1?timeout=0.2', 2],
      ['/positions/3/0/1?timeout=0.1', 3],
    ] as const) {
      const [status, problem] = await ask(path);
      assert.equal(status, 504, path);
      assert.deepEqual(
        [problem.type, problem.history, problem.shows],
        ['urn:siirays-sync:problem:not-shown-yet', history, { history: 2, lsn: '1/0' }],
      );
    }
  });

  it('of a history that is over: 410', async () => {
    const [status, problem] = await ask('/positions/1/0/1');
    assert.deepEqual([status, problem.type], [410, 'urn:siirays-sync:problem:history-over']);
    const waiting = ask('/positions/2/2/0?timeout=60');
    await rig.delivered(3, '0/1');
    assert.equal((await waiting)[0], 410);
  });

  it('ends with its asker', async () => {
    const gone = new AbortController();
    const before = rig.waitSignals.length;
    const asked = call('GET', '/positions/3/F/0?timeout=60', { signal: gone.signal });
    await until(() => rig.waitSignals.length > before, 'the wait to begin');
    gone.abort();
    await assert.rejects(asked);
    await until(() => rig.waitSignals[before]!.aborted, 'the wait to end');
  });

  it('is asked for in a form that can be read', async () => {
    for (const path of [
      '/positions/x/0/1',
      '/positions/-1/0/1',
      '/positions/99999999999/0/1',
      '/positions/1/x',
      '/positions/1/0/123456789',
      '/positions/1/0/1?timeout=61',
      '/positions/1/0/1?timeout=-1',
      '/positions/1/0/1?connector=espa',
    ]) {
      assert.equal((await ask(path))[0], 400, path);
    }
    assert.equal((await ask('/positions/1/0/1?connector=places'))[0], 404);
  });
});

describe('following everything', async () => {
  const { rig, call } = await startApi({ mostStreams: 2 });

  it('tells the status, runs and what people do', async () => {
    await rig.store.audit('olga', 'operator', 'before', null, {});
    const gone = new AbortController();
    const response = await call('GET', '/events', { headers: { 'last-event-id': '4' }, signal: gone.signal });
    const events: ServerSentEvent[] = [];
    const reading = (async () => {
      for await (const event of serverSentEvents(response)) events.push(event);
    })();
    const told = (event: string, matches: (data: Answer) => boolean) =>
      until(() => events.some((one) => one.event === event && matches(one.data as Answer)), `${event} to be told`);
    await told('status', (status) => first(status).paused === false);
    await call('POST', '/connectors/epsa/pause');
    await told('status', (status) => first(status).paused === true);
    await told('audit', ({ action }) => action === 'connector.pause');
    const { id } = (await (await call('POST', '/reconciliations', { json: { connector: 'epsa' } })).json()) as Answer;
    await told('run', (run) => run.id === id && run.state === 'running');
    await told('status', (status) => (first(status).running as Answer | null)?.id === id);
    rig.finish('equal');
    await told('run', (run) => run.id === id && run.state === 'equal');
    assert.ok(!events.some(({ data }) => (data as Answer).action === 'before'), 'only what is new');
    const texts = events.map(({ event, data }) => event + JSON.stringify(data));
    assert.equal(
      texts.findIndex((text, place) => text === texts[place - 1]),
      -1,
      'only what has changed',
    );
    gone.abort();
    await assert.rejects(reading);
  });

  it('is open to so many at once', async () => {
    const gone = new AbortController();
    const open = await Promise.all([1, 2].map(() => call('GET', '/events', { signal: gone.signal })));
    assert.deepEqual(
      open.map(({ status }) => status),
      [200, 200],
    );
    const refused = await call('GET', '/events');
    assert.equal(refused.status, 503);
    gone.abort();
    await until(async () => {
      const again = new AbortController();
      const { status } = await call('GET', '/events', { signal: again.signal });
      again.abort();
      return status === 200;
    }, 'the places to be free again');
  });
});

describe('the end of the server', async () => {
  it('ends event streams and waits at once', async () => {
    const { rig, call, close } = await startApi();
    await rig.delivered(1, '0/1');
    const run = (await (await call('POST', '/reconciliations', { json: { connector: 'epsa' } })).json()) as Answer;
    const streams = await Promise.all(
      ['/events', `/reconciliations/${run.id}/events`].map((path) => call('GET', path)),
    );
    const waiting = call('GET', '/positions/1/F/0?timeout=60');
    await until(() => rig.waitSignals.length > 0, 'the wait to begin');
    // The grace is longer than the test may take: only what ends by itself ends in time.
    const closed = close(600_000);
    for (const response of streams) for await (const _ of serverSentEvents(response));
    assert.equal((await waiting).status, 503);
    await closed;
  });
});
