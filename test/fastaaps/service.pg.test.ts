import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import pg from 'pg';
import { testDatabase } from '../support/postgres.ts';
import { until } from '../support/until.ts';
import {
  all,
  call,
  clientOf,
  document,
  each,
  header,
  json,
  PASSWORD,
  post,
  startReference,
  TARGET,
  TOKEN,
  USERNAME,
  upsert,
} from './reference.ts';

// One server for all tests of this file.
await testDatabase();

const head = (version: number, more = {}): string => `${JSON.stringify(header(version, more))}\n`;

describe('access', () => {
  it('needs Basic or Bearer everywhere but at /healthz', async () => {
    const service = await startReference();
    const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;
    const calls = [
      ['GET', '/registro/?db_tag=sync'],
      ['GET', '/registro/1?db_tag=sync'],
      ['GET', '/registro/position?db_tag=sync'],
      ['GET', '/registro/versions?db_tag=sync'],
      ['POST', '/registro/changes?db_tag=sync'],
      ['POST', '/registro/restore?db_tag=sync'],
      ['GET', '/nowhere'],
    ] as const;
    const wrong = [
      undefined,
      '',
      'Basic',
      'Bearer',
      `Bearer ${TOKEN}x`,
      basic(`${USERNAME}:`),
      basic(`${USERNAME}:${PASSWORD}x`),
      basic(`x:${PASSWORD}`),
      `Bearer ${PASSWORD}`,
    ];
    for (const [method, path] of calls) {
      for (const authorization of wrong) {
        const response = await fetch(service.url + path, { method, headers: authorization ? { authorization } : {} });
        assert.equal(response.status, 401, `${method} ${path} ${authorization}`);
        assert.match(response.headers.get('www-authenticate') ?? '', /Basic/);
      }
    }
    for (const authorization of [basic(`${USERNAME}:${PASSWORD}`), `Bearer ${TOKEN}`, `bearer ${TOKEN}`]) {
      assert.equal((await fetch(`${service.url}/registro/?db_tag=sync`, { headers: { authorization } })).status, 200);
    }
    const health = await fetch(`${service.url}/healthz`);
    assert.deepEqual([health.status, await json(health)], [200, { status: 'ok' }]);
  });

  it('answers 422 without a db_tag and 404 to what it has not', async () => {
    const service = await startReference();
    for (const path of ['/registro/', '/registro/?db_tag=', '/registro/?db_tag=a&db_tag=b', '/registro/?db_tag=%00']) {
      const response = await call(service.url, path);
      assert.equal(response.status, 422, path);
      assert.deepEqual((await json(response)).detail[0].loc, ['query', 'db_tag']);
    }
    const response = await call(service.url, '/registro/5?db_tag=sync');
    assert.equal(response.status, 404);
    assert.equal(typeof (await json(response)).detail.error, 'string');
    assert.equal((await call(service.url, '/registro/changes?db_tag=sync', { method: 'PUT' })).status, 404);
  });

  it('keeps db_tags and collections apart', async () => {
    const service = await startReference();
    await post(service.url, [head(1), upsert(1, 1)]);
    assert.deepEqual(await json(await call(service.url, '/registro/?db_tag=backup')), []);
    assert.deepEqual(await json(await call(service.url, '/registro2/?db_tag=sync')), []);
    assert.equal(
      (await json(await call(service.url, '/registro?db_tag=sync'))).length,
      1,
      'without the last slash too',
    );
  });
});

describe('limits', () => {
  it('answers 413 to a line or a request over its limit, and applies nothing', async () => {
    const service = await startReference({ limits: { maxLineBytes: 2_000, maxRequestBytes: 100_000 } });
    const long = await post(service.url, [head(1), upsert(1, 1), upsert(2, 1, document(2, 'x'.repeat(2_000)))]);
    assert.equal(long.status, 413);
    assert.match((await json(long)).detail.error, /line 3/);
    const many = Array.from({ length: 2_000 }, (_, id) => upsert(id, 1));
    const large = await post(service.url, [head(1), ...many]);
    assert.equal(large.status, 413);
    assert.match((await json(large)).detail.error, /100000/);
    assert.deepEqual(await json(await call(service.url, '/registro/?db_tag=sync')), []);
    assert.equal((await post(service.url, [head(1), upsert(1, 1)])).status, 200);
  });

  it('reaches the client as 413 also while it is still sending', async () => {
    const service = await startReference({ limits: { maxLineBytes: 2_000 } });
    const client = clientOf(service.url);
    let sent = 0;
    async function* lines() {
      yield upsert(0, 1, document(0, 'x'.repeat(3_000)));
      for (; sent < 20_000; sent += 1) yield upsert(sent + 1, 1, document(sent + 1, 'y'.repeat(1_000)));
    }
    await assert.rejects(client.postChanges(TARGET, header(1), lines()), { kind: 'configuration', status: 413 });
  });
});

describe('readers', () => {
  it('never see half of a changeset, and always the position that belongs to it', async () => {
    const service = await startReference();
    const client = clientOf(service.url);
    const ids = Array.from({ length: 300 }, (_, index) => index + 1);
    let writing = true;
    const writer = (async () => {
      for (let version = 1; version <= 25; version += 1) {
        const lines = ids.map((id) => upsert(id, version, document(id, `at ${version}`)));
        await client.postChanges(TARGET, header(version, { seq: String(version) }), each(lines));
      }
      writing = false;
    })();
    const seen = new Set<string>();
    const reader = async (): Promise<void> => {
      while (writing) {
        const { position, documents } = await client.getSet(TARGET);
        const names = new Set((await all(documents)).map((text) => JSON.parse(text).informacion_general.nombre));
        const expected = position ? [`at ${position.version}`] : [];
        assert.deepEqual([...names], expected);
        seen.add(position?.version ?? 'none');
      }
    };
    await Promise.all([writer, reader(), reader()]);
    assert.ok(seen.size > 2, `only ${seen.size} states were seen`);
  });

  it('see the old set until a restore is whole', async () => {
    const service = await startReference();
    const client = clientOf(service.url);
    await client.postChanges(TARGET, header(1), each([upsert(1, 1, document(1, 'old'))]));
    const more = Promise.withResolvers<void>();
    async function* documents() {
      for (let id = 1; id <= 1_500; id += 1) yield { id: String(id), text: document(id, 'new') };
      await more.promise;
      yield { id: '1501', text: document(1501, 'new') };
    }
    const restoring = client.restoreSet(TARGET, documents());
    const database = new pg.Client({ connectionString: service.databaseUrl });
    await database.connect();
    await until(async () => {
      const { rows } =
        await database.query(`SELECT pg_stat_get_xact_tuples_inserted('document'::regclass) IS NOT NULL AND
        EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory') AS begun`);
      return rows[0].begun;
    }, 'the restore');
    await database.end();
    assert.equal((await client.getSet(TARGET)).position?.version, '1');
    assert.equal(
      await client.getDocument(TARGET, '1').then((text) => JSON.parse(text ?? '').informacion_general.nombre),
      'old',
    );
    more.resolve();
    assert.equal((await restoring).documents, 1_501);
    const { position, documents: restored } = await client.getSet(TARGET);
    assert.equal(position, null, 'a restored set is no changeset’s state');
    assert.equal((await all(restored)).length, 1_501);
    assert.equal(await client.getPosition(TARGET), null);
  });

  it('get a broken answer, not a short one, when the database goes away in the middle', async () => {
    const service = await startReference();
    const client = clientOf(service.url);
    const big = 'x'.repeat(20_000);
    async function* lines() {
      for (let id = 1; id <= 2_000; id += 1) yield upsert(id, 1, document(id, big));
    }
    await client.postChanges(TARGET, header(1), lines());
    const { documents } = await client.getSet(TARGET);
    await documents.next();
    const database = new pg.Client({ connectionString: service.databaseUrl });
    await database.connect();
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    );
    await database.end();
    await assert.rejects(all(documents), { name: 'FastaapsError', kind: 'retry' });
    assert.equal((await all((await client.getSet(TARGET)).documents)).length, 2_000, 'the service goes on');
  });
});

describe('a writer that goes away', () => {
  it('leaves nothing behind, and nothing locked', async () => {
    const service = await startReference();
    const client = clientOf(service.url);
    const gone = new AbortController();
    async function* lines() {
      for (let id = 1; id <= 2_000; id += 1) yield upsert(id, 1);
      await new Promise((resolve) => gone.signal.addEventListener('abort', resolve, { once: true }));
    }
    const posting = client.postChanges(TARGET, header(1), lines(), undefined, { signal: gone.signal });
    const database = new pg.Client({ connectionString: service.databaseUrl });
    await database.connect();
    await until(async () => {
      const { rows } = await database.query(`SELECT FROM pg_locks WHERE locktype = 'advisory'`);
      return rows.length > 0;
    }, 'the changeset under way');
    await database.end();
    gone.abort(new Error('killed'));
    await assert.rejects(posting, /killed/);
    const { applied } = await client.postChanges(TARGET, header(1), each([upsert(1, 1)]));
    assert.equal(applied, 1);
    assert.equal((await all((await client.getSet(TARGET)).documents)).length, 1);
  });
});
