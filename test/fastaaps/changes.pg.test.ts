import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import pg from 'pg';
import { call, document, header, json, post, remove, startReference, upsert } from './reference.ts';

const head = (version: number, more = {}) => `${JSON.stringify(header(version, more))}\n`;

const service = await startReference();

describe('POST changes', () => {
  let set = 0;
  /** A set of its own for each test. */
  let path: (call: string) => string;

  const fresh = () => {
    const tag = `t${++set}`;
    path = (name) => `/registro/${name}?db_tag=${tag}`;
  };
  const send = (lines: string[]) => post(service.url, lines, path('changes'));
  const get = (name: string) => call(service.url, path(name));

  it('applies upserts and deletes, and answers with the etag of every id', async () => {
    fresh();
    const response = await send([head(2), upsert(1601, 1), upsert(1650, 1), remove(1700, 2)]);
    assert.equal(response.status, 200);
    const answer = await json(response);
    assert.equal(answer.applied, 3);
    assert.equal(answer.ignored, 0);
    assert.deepEqual(Object.keys(answer.etags).sort(), ['1601', '1650', '1700']);
    assert.match(answer.etags['1601'], /./);
    assert.equal(answer.etags['1700'], null);

    assert.equal((await get('1700')).status, 404);
    const one = await get('1601');
    assert.deepEqual(await json(one), { informacion_general: { id_siirays: 1601, nombre: 'epsa 1601' } });
    const all = await get('');
    assert.equal(all.headers.get('fastaaps-position'), JSON.stringify(header(2)));
    assert.equal((await json(all)).length, 2);
    assert.deepEqual(await json(await get('position')), header(2));
  });

  it('lists versions by id as numbers, tombstones with etag null', async () => {
    fresh();
    await send([head(3), upsert(1000, 1), upsert(999, 2), remove(5, 3)]);
    const lines = (await (await get('versions')).text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.map((line) => [line.id, line.epoch, line.version, line.etag === null]),
      [
        [5, 1, '3', true],
        [999, 1, '2', false],
        [1000, 1, '1', false],
      ],
    );
  });

  it('ignores what is not greater, compares versions as numbers and epochs first, and repeats without effect', async () => {
    fresh();
    const changeset = [head(10), upsert(1, 9), upsert(2, 10)];
    await send(changeset);
    const before = await (await get('versions')).text();
    const repeated = await json(await send(changeset));
    assert.deepEqual([repeated.applied, repeated.ignored], [0, 2]);
    assert.deepEqual(Object.keys(repeated.etags).sort(), ['1', '2'], 'ignored ids are listed too');
    assert.equal(await (await get('versions')).text(), before);

    const older = await json(await send([head(9), upsert(2, 9, document(2, 'older')), remove(1, 9)]));
    assert.deepEqual([older.applied, older.ignored], [0, 2]);
    assert.equal((await json(await get('position'))).version, '10', 'the position does not go back');

    const raised = await json(await send([head(3, { epoch: 2 }), upsert(2, 3, document(2, 'new epoch'))]));
    assert.deepEqual([raised.applied, raised.ignored], [1, 0]);
    assert.equal((await json(await get('2'))).informacion_general.nombre, 'new epoch');
  });

  it('keeps a tombstone: an older upsert does not bring a deleted document back', async () => {
    fresh();
    await send([head(5), remove(1, 5)]);
    const answer = await json(await send([head(6), upsert(1, 4), upsert(2, 6)]));
    assert.deepEqual([answer.applied, answer.ignored], [1, 1]);
    assert.equal((await get('1')).status, 404);
    await send([head(7), upsert(1, 7)]);
    assert.equal((await get('1')).status, 200);
  });

  it('moves the position with an empty changeset', async () => {
    fresh();
    await send([head(5), upsert(1, 5)]);
    const answer = await json(await send([head(5, { seq: '8', lsn: '0/2000000' })]));
    assert.deepEqual(answer, { applied: 0, ignored: 0, etags: {} });
    assert.equal((await json(await get('position'))).lsn, '0/2000000');
  });

  it('keeps every digit, in any order of a line’s members', async () => {
    fresh();
    const monto = '12345678901234567890.120';
    const huge = `${'9'.repeat(400)}.5`;
    const text = document(1, 'a "}{" \\ é 🚰 \t', `,"monto":${monto}`);
    await send([
      head(2),
      ` { "document" : ${text} , "version":"1","id" : 1, "op":"upsert" } \n`,
      upsert(2, 2, document(2, 'b', `,"monto":-0.00000000000000000000000001,"anio":9007199254740993`)),
      upsert(3, 2, document(3, 'c', `,"monto":${huge}`)),
    ]);
    const one = await (await get('1')).text();
    assert.ok(one.includes(monto), one);
    assert.equal(JSON.parse(one).informacion_general.nombre, 'a "}{" \\ é 🚰 \t');
    const two = await (await get('')).text();
    assert.ok(two.includes('-0.00000000000000000000000001') && two.includes('9007199254740993'), two);
    assert.ok(two.includes(huge), two);
  });

  it('refuses all of it where documents break the schema, naming each', async () => {
    fresh();
    const bad = '{"informacion_general":{"id_siirays":2},"tuberias":[{"localidad":"a"},{}]}';
    const response = await send([
      head(4),
      upsert(1, 1),
      upsert(2, 2, bad),
      upsert(3, 3, '{"informacion_general":{"id_siirays":3,"nombre":5}}'),
      upsert(4, 4, '{"informacion_general":{"id_siirays":4,"nombre":"\\u0000"}}'),
      upsert(5, 4, document(6, 'another id')),
    ]);
    assert.equal(response.status, 422);
    const { detail } = await json(response);
    assert.deepEqual(
      detail.map(({ id, loc, type }: { id: number; loc: unknown[]; type: string }) => [id, loc.join('.'), type]),
      [
        [2, 'document.tuberias.1.localidad', 'missing'],
        [3, 'document.informacion_general.nombre', 'type'],
        [5, 'document.informacion_general.id_siirays', 'id'],
        [4, 'document', 'jsonb'],
      ],
    );
    assert.equal((await get('1')).status, 404, 'nothing was applied');
    assert.equal((await get('position')).status, 404);
  });

  it('finds what only the database refuses, also far behind', async () => {
    fresh();
    const lines = Array.from({ length: 1200 }, (_, index) => upsert(index + 1, 1));
    lines[3] = upsert(4, 1, document(4, 'x', `,"monto":1e200000`));
    lines[1100] = upsert(1101, 1, '{"informacion_general":{"id_siirays":1101,"nombre":"\\u0000"}}');
    const response = await send([head(1), ...lines]);
    const { detail } = await json(response);
    assert.deepEqual(
      detail.map((reason: { id: number }) => reason.id),
      [4, 1101],
    );
    assert.equal((await json(await get(''))).length, 0);
  });

  it('refuses an id that comes twice', async () => {
    fresh();
    const many = Array.from({ length: 600 }, (_, index) => upsert(index, 1));
    for (const lines of [
      [upsert(1, 1), upsert(1, 2)],
      [...many, remove(3, 2)],
    ]) {
      const response = await send([head(1), ...lines]);
      assert.equal(response.status, 422);
      assert.equal((await json(response)).detail[0].type, 'duplicate');
    }
  });

  it('answers 400 to what is no changeset', async () => {
    fresh();
    for (const lines of [
      [],
      ['{"op":"upsert"}\n'],
      [head(1), '{"op":"upsert"\n'],
      [head(1), '{"op":"merge","id":1,"version":"1"}\n'],
      [head(1), '{"op":"delete","id":1.5,"version":"1"}\n'],
      [head(1), '{"op":"delete","id":1,"version":1}\n'],
      [head(1), '{"op":"upsert","id":1,"version":"1"}\n'],
      [head(1, { lsn: 'x' })],
    ]) {
      const response = await send(lines);
      assert.equal(response.status, 400, lines.join(''));
      assert.match((await json(response)).detail.error, /line|changeset/);
    }
  });

  it('answers 415 to another content type', async () => {
    const response = await call(service.url, '/registro/changes?db_tag=x', {
      method: 'POST',
      body: '[]',
      headers: { 'content-type': 'application/json' },
    });
    assert.equal(response.status, 415);
  });

  it('serves any collection in the same way, with text ids too', async () => {
    fresh();
    const lines = [
      head(1),
      '{"op":"upsert","id":"b/ñ","version":"1","document":{"x":1}}\n',
      '{"op":"upsert","id":12345678901234567890,"version":"1","document":{"x":2.50}}\n',
    ];
    assert.equal((await post(service.url, lines, '/otra/lista/changes?db_tag=sync')).status, 200);
    assert.equal(await (await call(service.url, '/otra/lista/b%2F%C3%B1?db_tag=sync')).text(), '{"x": 1}');
    assert.equal(await (await call(service.url, '/otra/lista/?db_tag=sync')).text(), '[{"x": 2.50},{"x": 1}]');
    const versions = await (await call(service.url, '/otra/lista/versions?db_tag=sync')).text();
    assert.match(versions, /^\{"id":12345678901234567890,"epoch":1.*\n\{"id":"b\/ñ",/);
  });

  it('shows in the etag what was altered behind its back', async () => {
    fresh();
    const { etags } = await json(await send([head(1), upsert(1, 1)]));
    const client = new pg.Client({ connectionString: service.databaseUrl });
    await client.connect();
    const { rows } = await client.query(
      `SELECT table_name, column_name FROM information_schema.columns WHERE data_type = 'jsonb' AND table_schema = 'public'`,
    );
    assert.equal(rows.length, 1, 'exactly one jsonb column');
    await client.query(
      `UPDATE document SET document = jsonb_set(document, '{informacion_general,nombre}', '"x"') WHERE db_tag = 't${set}'`,
    );
    await client.end();
    const line = JSON.parse(await (await get('versions')).text());
    assert.equal(line.version, '1');
    assert.notEqual(line.etag, etags['1']);
  });
});
