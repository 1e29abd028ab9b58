import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { startApi } from './api-rig.ts';

const { rig, call } = await startApi();
const DIGITS = '{"id":17,"caudal":12345678901234567890.1234567890,"e":1e400,"texto":"á\\"}{","nada":null}';

async function get(path: string): Promise<[number, Record<string, unknown>]> {
  const response = await call('GET', path);
  return [response.status, (await response.json()) as Record<string, unknown>];
}

async function actions(): Promise<string[]> {
  const { entries } = await rig.store.listAudit({ limit: 1_000 });
  return entries.map(({ actor, role, action, object }) => `${actor} (${role}): ${action} ${object}`);
}

describe('a document', () => {
  it('tells how it stands', async () => {
    await rig.addDocument('17', DIGITS);
    const plain = {
      connector: 'epsa',
      id: '17',
      deleted: false,
      newest: { epoch: 3, version: '1' },
      accepted: { epoch: 3, version: '1' },
      etag: '"e1"',
      pending: false,
      deadLetter: null,
      proof: null,
    };
    assert.deepEqual(await get('/documents/17'), [200, plain]);
    await rig.addDeadLetter('17');
    await rig.query(`INSERT INTO :s.outbox VALUES ('17', 3, 1)`);
    const run = randomUUID();
    await rig.store.proven('epsa', ['17'], run);
    const [, state] = await get('/documents/17?connector=epsa');
    const { deadLetter, proof } = state as { deadLetter: Record<string, unknown>; proof: Record<string, unknown> };
    assert.equal(state.pending, true);
    assert.deepEqual([deadLetter.reason, deadLetter.path, deadLetter.detail], ['refused', 'rar.nombre', { msg: 'no' }]);
    assert.equal(proof.run, run);
    assert.ok(Math.abs(Date.parse(String(proof.at)) - Date.now()) < 60_000, String(proof.at));
  });

  it('shows its versions, digit by digit, newest first', async () => {
    await rig.addDocument('a/b "c"', DIGITS);
    await rig.addDocument('a/b "c"', null, 12_345_678_901);
    const response = await call('GET', `/documents/${encodeURIComponent('a/b "c"')}/versions`);
    assert.equal(response.headers.get('content-type'), 'application/json; charset=utf-8');
    const text = await response.text();
    assert.ok(text.includes(`"body":${DIGITS}}`), text);
    const { id, versions } = JSON.parse(text) as { id: string; versions: Record<string, unknown>[] };
    assert.equal(id, 'a/b "c"');
    assert.deepEqual(
      versions.map(({ epoch, version, history, seq, lsn, deleted }) => [epoch, version, history, seq, lsn, deleted]),
      [
        [3, '12345678901', 2, '7', '0/16B3748', true],
        [3, '1', 2, '7', '0/16B3748', false],
      ],
    );
    assert.equal(versions[0]!.body, null);
  });

  it('of any size is passed through', async () => {
    const large = JSON.stringify({ text: 'ñ'.repeat(3_000_000) });
    await rig.addDocument('large', large, 1);
    await rig.addDocument('large', large, 2);
    const { versions } = (await (await call('GET', '/documents/large/versions')).json()) as { versions: unknown[] };
    assert.equal(versions.length, 2);
    const gone = new AbortController();
    const response = await call('GET', '/documents/large/versions', { signal: gone.signal });
    gone.abort();
    await assert.rejects(response.text());
    assert.equal((await get('/documents/17'))[0], 200);
  });

  it('without versions has none', async () => {
    await rig.query(`INSERT INTO :s.document (id, epoch, version, deleted) VALUES ('bare', 1, 1, true)`);
    assert.deepEqual(await get('/documents/bare/versions'), [200, { connector: 'epsa', id: 'bare', versions: [] }]);
  });

  it('that there is not: 404', async () => {
    for (const path of ['/documents/0', '/documents/0/versions', '/documents/%00', '/documents/17?connector=places']) {
      assert.equal((await get(path))[0], 404, path);
    }
    const [status, problem] = await get('/documents/17?connector=espa');
    assert.equal(status, 400);
    assert.match(String(problem.detail), /did you mean epsa\?/);
  });
});

describe('dead letters', () => {
  it('come in pages, with those set aside or without', async () => {
    await rig.query('DELETE FROM :s.dead_letter');
    for (const id of ['1', '2', '3', '4', '5']) await rig.addDeadLetter(id);
    const [, discarded] = [await call('DELETE', '/dead-letters/3'), await get('/dead-letters?discarded=true')];
    assert.deepEqual(
      (discarded[1].deadLetters as { id: string }[]).map(({ id }) => id),
      ['3'],
    );
    const found: string[] = [];
    let after = '';
    for (let next: string | null = ''; next !== null; after = `&after=${next}`) {
      const [, page] = await get(`/dead-letters?limit=2&discarded=false${after}`);
      found.push(...(page.deadLetters as { id: string }[]).map(({ id }) => id));
      next = page.next as string | null;
    }
    assert.deepEqual(found, ['1', '2', '4', '5']);
    assert.equal((await get('/dead-letters?discarded=perhaps'))[0], 400);
    assert.equal((await get('/dead-letters?connector=places'))[0], 404);
  });

  it('are set aside, audited once', async () => {
    await rig.addDeadLetter('aside');
    const response = await call('DELETE', '/dead-letters/aside');
    const letter = (await response.json()) as Record<string, unknown>;
    assert.deepEqual([response.status, letter.discardedBy], [200, 'olga']);
    const again = await call('DELETE', '/dead-letters/aside');
    assert.deepEqual([again.status, await again.json()], [200, letter]);
    const line = 'olga (operator): dead-letter.discard epsa/aside';
    assert.equal((await actions()).filter((action) => action === line).length, 1);
    assert.equal((await call('DELETE', '/dead-letters/none')).status, 404);
    assert.equal((await call('DELETE', '/dead-letters/%00')).status, 404);
  });

  it('are replayed by id: a forced mark', async () => {
    await rig.query('DELETE FROM :s.mark');
    await rig.addDeadLetter('again/1');
    const response = await call('POST', '/dead-letters/again%2F1/replay');
    assert.deepEqual([response.status, await response.json()], [202, { connector: 'epsa', replayed: 1 }]);
    assert.deepEqual(await rig.query('SELECT id, forced FROM :s.mark'), [{ id: 'again/1', forced: true }]);
    assert.ok((await actions()).includes('olga (operator): dead-letter.replay epsa/again/1'));
    const [, page] = await get('/dead-letters?after=afz&limit=1');
    assert.deepEqual(
      (page.deadLetters as { id: string; replaying: boolean }[]).map(({ replaying }) => replaying),
      [true],
    );
    assert.equal((await call('POST', '/dead-letters/none/replay')).status, 404);
  });

  it('are replayed all at once, but for those set aside', async () => {
    await rig.query('WITH marks AS (DELETE FROM :s.mark) DELETE FROM :s.dead_letter');
    await rig.query(
      `INSERT INTO :s.dead_letter (id, epoch, version, reason, discarded_at)
       SELECT n::text, 1, 1, 'schema', CASE WHEN n % 5 = 0 THEN now() END FROM generate_series(1, 2500) AS n`,
    );
    const response = await call('POST', '/dead-letters/replay');
    assert.deepEqual([response.status, await response.json()], [202, { connector: 'epsa', replayed: 2_000 }]);
    assert.deepEqual(await rig.query('SELECT count(*)::int FROM :s.mark WHERE forced AND id::int % 5 <> 0'), [
      { count: 2_000 },
    ]);
    const { entries } = await rig.store.listAudit({ limit: 1 });
    assert.deepEqual(
      [entries[0]!.action, entries[0]!.object, entries[0]!.detail],
      ['dead-letter.replay-all', 'epsa', { letters: 2_000 }],
    );
  });
});
