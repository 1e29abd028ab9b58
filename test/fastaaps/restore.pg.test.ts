import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import pg from 'pg';
import { testDatabase } from '../support/postgres.ts';
import { until } from '../support/until.ts';
import { all, call, clientOf, document, each, json, startReference, TARGET } from './reference.ts';

// One server for all tests of this file.
await testDatabase();

function restore(url: string, body: string, tag = 'sync'): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return call(url, `/registro/restore?db_tag=${tag}`, { method: 'POST', body, headers });
}

async function set(url: string): Promise<string> {
  return (await call(url, '/registro/?db_tag=sync')).text();
}

describe('POST restore', () => {
  it('replaces the set, answers 201 with it, and keeps every digit', async () => {
    const service = await startReference();
    const monto = '12345678901234567890.120';
    assert.equal((await restore(service.url, `[${document(7, 'old')}]`)).status, 201);
    const response = await restore(service.url, ` [ ${document(2, 'b', `,"monto":${monto}`)} , ${document(1, 'a')} ] `);
    assert.equal(response.status, 201);
    const answered = await response.text();
    assert.ok(answered.includes(monto));
    assert.deepEqual(
      JSON.parse(answered).map(
        (one: { informacion_general: { id_siirays: number } }) => one.informacion_general.id_siirays,
      ),
      [2, 1],
      'in the order in which they came',
    );
    assert.equal(JSON.parse(await set(service.url)).length, 2);
    assert.ok((await set(service.url)).includes(monto));
    assert.deepEqual(await (await restore(service.url, '[]')).json(), []);
    assert.equal(await set(service.url), '[]');
  });

  it('names refused documents by their place, and replaces nothing', async () => {
    const service = await startReference();
    await restore(service.url, `[${document(1, 'old')}]`);
    const bodies = [document(1, 'new'), '{"tuberias":[]}', '5', document(2, '\u0000'), document(1, 'again')];
    const response = await restore(service.url, `[${bodies.join(',')}]`);
    assert.equal(response.status, 422);
    const { detail } = await json(response);
    assert.deepEqual(
      detail.map(({ loc, type }: { loc: unknown[]; type: string }) => [...loc, type]),
      [
        ['body', 1, 'informacion_general', 'missing'],
        ['body', 2, 'object'],
        ['body', 3, 'jsonb'],
      ],
    );
    const twice = await restore(service.url, `[${document(1, 'a')},${document(1, 'b')}]`);
    assert.deepEqual((await json(twice)).detail[0].loc, ['body', 1]);
    assert.deepEqual(JSON.parse(await set(service.url)), [JSON.parse(document(1, 'old'))]);
  });

  it('answers 400 to what is no array, and 415 to another type', async () => {
    const service = await startReference();
    for (const body of ['', '{}', '[1', '[{"a":}]', '[] []']) {
      assert.equal((await restore(service.url, body)).status, 400, body);
    }
    const headers = { 'content-type': 'text/plain' };
    const response = await call(service.url, '/registro/restore?db_tag=sync', { method: 'POST', body: '[]', headers });
    assert.equal(response.status, 415);
  });

  it('tells the client which ids were refused', async () => {
    const service = await startReference();
    const client = clientOf(service.url);
    const sent = [
      { id: '11', text: document(11, 'a') },
      { id: '22', text: '{"informacion_general":{"id_siirays":22},"tuberias":[{"localidad":""},{}]}' },
    ];
    await assert.rejects(client.restoreSet(TARGET, each(sent)), (error) => {
      const { kind, refused } = error as { kind: string; refused: { id: string; path: string }[] };
      assert.equal(kind, 'refused');
      assert.deepEqual(
        refused.map(({ id, path }) => [id, path]),
        [['22', 'tuberias[1].localidad']],
      );
      return true;
    });
  });
});

describe('--like-today', () => {
  const dirty = JSON.stringify([
    {
      informacion_general: { id_siirays: '5', nombre: ' \t a b \n', monto: '2.50', anio: 1999.9, unknown: 1 },
      tuberias: [{ localidad: ' x ', unknown: { y: 1 } }],
      unknown: [],
    },
    { informacion_general: { id_siirays: 6.7, nombre: 12.5, monto: 2.5, anio: '7' } },
  ]);

  it('has just what exists today, open to everybody', async () => {
    const service = await startReference({ likeToday: true });
    const missing: [string, string][] = [
      ['POST', '/registro/changes?db_tag=sync'],
      ['GET', '/registro/position?db_tag=sync'],
      ['GET', '/registro/versions?db_tag=sync'],
      ['GET', '/openapi.json'],
    ];
    for (const [method, path] of missing) {
      const response = await fetch(service.url + path, { method });
      assert.ok([404, 422].includes(response.status), `${method} ${path} ${response.status}`);
    }
    const response = await fetch(`${service.url}/registro/?db_tag=sync`);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('fastaaps-position'), null);
    assert.equal((await fetch(`${service.url}/registro/1?db_tag=sync`)).status, 404);
    assert.equal(typeof (await json(await fetch(`${service.url}/registro/1?db_tag=sync`))).detail.error, 'string');
  });

  it('trims, drops what it does not know, turns values into its types, and answers with what it took', async () => {
    const service = await startReference({ likeToday: true });
    const response = await restore(service.url, dirty);
    assert.equal(response.status, 201);
    const taken = [
      {
        informacion_general: { id_siirays: 5, nombre: 'a b', monto: '2.50', anio: 1999 },
        tuberias: [{ localidad: 'x' }],
      },
      { informacion_general: { id_siirays: 6, nombre: '12.5', monto: 2.5, anio: 7 } },
    ];
    assert.deepEqual(await response.json(), taken);
    assert.deepEqual(JSON.parse(await set(service.url)), taken);
    assert.deepEqual(await json(await call(service.url, '/registro/6?db_tag=sync')), taken[1]);
  });

  it('names what it refuses by its place in the array, and replaces nothing', async () => {
    const service = await startReference({ likeToday: true });
    await restore(service.url, dirty);
    const before = await set(service.url);
    const bodies = [document(1, 'a'), '{"informacion_general":{"id_siirays":"x","nombre":true}}'];
    const response = await restore(service.url, `[${bodies.join(',')}]`);
    assert.equal(response.status, 422);
    assert.deepEqual(
      (await json(response)).detail.map((reason: { loc: unknown[] }) => reason.loc),
      [
        ['body', 1, 'informacion_general', 'id_siirays'],
        ['body', 1, 'informacion_general', 'nombre'],
      ],
    );
    assert.equal(await set(service.url), before);
  });

  it('is not atomic: a reader sees the set dropped, and half of the new one', async () => {
    const service = await startReference({ likeToday: true });
    const client = clientOf(service.url);
    const ids = Array.from({ length: 250 }, (_, index) => index + 1);
    await restore(service.url, `[${ids.map((id) => document(id, 'old')).join(',')}]`);
    const database = new pg.Client({ connectionString: service.databaseUrl });
    await database.connect();
    // The document with id 150 comes in the second batch, and has to wait.
    await database.query(`BEGIN; INSERT INTO document (collection, db_tag, id) VALUES ('registro', 'sync', '1150')`);
    const restoring = restore(service.url, `[${ids.map((id) => document(id + 1000, 'new')).join(',')}]`);
    const half = await until(async () => {
      const documents = await all((await client.getSet(TARGET)).documents);
      return documents.length < 250 && documents.length > 0 ? documents : undefined;
    }, 'half a set');
    assert.equal(half?.length, 100);
    await database.query('ROLLBACK');
    await database.end();
    assert.equal((await restoring).status, 201);
    assert.equal((await all((await client.getSet(TARGET)).documents)).length, 250);
  });
});
