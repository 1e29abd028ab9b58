import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { replayDeadLetter } from '../../../src/consumer/delivery/replay.ts';
import { startProxy } from '../../fastaaps/proxy.ts';
import { document, startReference, TARGET } from '../../fastaaps/reference.ts';
import { testDatabase } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { SCHEMA, startBookkeeping } from './bookkeeping.ts';
import { documents, startDelivery, truthOf } from './rig.ts';

// One server for all tests of this file.
await testDatabase();

const BAD = '{"informacion_general":{"id_siirays":2},"tuberias":[{"localidad":"x"},{}]}';

describe('delivery when FASTAAPS does not take it', () => {
  it('says which setting is wrong at 401, and goes on once the password is right', async () => {
    const service = await startReference({ password: 'changed' });
    const bookkeeping = await startBookkeeping();
    const rig = startDelivery(bookkeeping, service.url);
    await bookkeeping.commit(documents([1], 'a'));
    await until(() => rig.ready.get('fastaaps')?.ok === false, 'not ready');
    assert.match(rig.ready.get('fastaaps')?.reason ?? '', /FASTAAPS_PASSWORD/);
    const blocked = rig.log.find((line) => line.event === 'delivery_blocked');
    assert.deepEqual([blocked?.status, blocked?.kind], [401, 'configuration']);
    assert.ok(!JSON.stringify(rig.log).includes('p:ä ss'), 'no password in the log');

    await service.close(0);
    await startReference({ databaseUrl: service.databaseUrl, port: Number(new URL(service.url).port) });
    await rig.settled();
    assert.deepEqual(await rig.documents(), truthOf(bookkeeping));
    await until(() => rig.ready.get('fastaaps')?.ok, 'ready again');
  });

  for (const status of [400, 403, 413, 415]) {
    it(`retries ${status} too, not ready, naming what to look at`, async () => {
      const service = await startReference();
      const proxy = await startProxy(service.url);
      const bookkeeping = await startBookkeeping();
      let refusals = 2;
      proxy.treat = (made) => (made.startsWith('POST') && refusals-- > 0 ? { status, body: 'no' } : 'pass');
      await bookkeeping.commit(documents([1], 'a'));
      const rig = startDelivery(bookkeeping, proxy.url);
      await rig.settled();
      const blocked = rig.log.filter((line) => line.event === 'delivery_blocked');
      assert.deepEqual(
        blocked.map((line) => line.status),
        [status, status],
      );
      assert.ok(blocked.every((line) => typeof line.setting === 'string'));
      await until(() => rig.ready.get('fastaaps')?.ok, 'ready again');
    });
  }

  it('retries 503, 429 and 408 after what Retry-After asks for', async () => {
    const service = await startReference();
    const proxy = await startProxy(service.url);
    const bookkeeping = await startBookkeeping();
    const statuses = [503, 429, 408];
    proxy.treat = (made) => {
      const status = made.startsWith('POST') ? statuses.shift() : undefined;
      return status === undefined ? 'pass' : { status, headers: { 'retry-after': status === 429 ? '1' : '0' } };
    };
    await bookkeeping.commit(documents([1], 'a'));
    const rig = startDelivery(bookkeeping, proxy.url);
    await rig.settled();
    const retries = rig.log.filter((line) => line.event === 'delivery_retry');
    assert.deepEqual(
      retries.map((line) => line.status),
      [503, 429, 408],
    );
    assert.deepEqual(
      retries.map((line) => (line.waitMs as number) >= 1_000),
      [false, true, false],
    );
    assert.notEqual(rig.ready.get('fastaaps')?.ok, false);
    assert.match(await rig.metrics.metrics(), /siirays_sync_delivery_failures_total\{kind="retry"\} 3/);
  });

  it('waits for a service that is down', async () => {
    const service = await startReference();
    await service.close(0);
    const bookkeeping = await startBookkeeping();
    const rig = startDelivery(bookkeeping, service.url);
    await bookkeeping.commit(documents([1], 'a'));
    await until(() => rig.log.filter((line) => line.event === 'delivery_retry').length >= 2, 'two attempts');
    await startReference({ databaseUrl: service.databaseUrl, port: Number(new URL(service.url).port) });
    await rig.settled();
    assert.deepEqual(await rig.documents(), truthOf(bookkeeping));
  });

  it('makes a dead letter of what is refused, and sends the rest at once', async () => {
    const service = await startReference();
    const bookkeeping = await startBookkeeping();
    let told = 0;
    const rig = startDelivery(bookkeeping, service.url, {
      onDeadLetters: () => {
        told += 1;
      },
    });
    await bookkeeping.commit(documents([1, 2, 3], 'a'));
    await rig.settled();
    await bookkeeping.commit({ ...documents([1, 3], 'b'), 2: BAD });
    await rig.settled();

    const [one, two, three] = (await rig.documents()) as { informacion_general: { nombre: string } }[];
    assert.deepEqual(
      [one, two, three].map((it) => it?.informacion_general.nombre),
      ['b', 'a', 'b'],
      'the refused document keeps its last accepted version',
    );
    const letters = await bookkeeping.query('SELECT id, reason, path, detail, published FROM :s.dead_letter');
    assert.equal(letters.length, 1);
    assert.deepEqual(
      [letters[0]?.id, letters[0]?.reason, letters[0]?.path, letters[0]?.published],
      ['2', 'refused', 'tuberias[1].localidad', false],
    );
    assert.equal(letters[0]?.detail.detail[0].type, 'missing');
    assert.equal(told, 1);
    assert.equal((await rig.client.getPosition(TARGET))?.seq, '2');

    assert.deepEqual(await replayDeadLetter(bookkeeping.pool, SCHEMA, ['1']), []);
    await bookkeeping.query('UPDATE :s.dead_letter SET discarded_at = now()');
    assert.deepEqual(await replayDeadLetter(bookkeeping.pool, SCHEMA, 'all'), [], 'it was set aside');
    await bookkeeping.query('UPDATE :s.dead_letter SET discarded_at = NULL');
    assert.deepEqual(await replayDeadLetter(bookkeeping.pool, SCHEMA, 'all'), ['2']);
    await bookkeeping.projectMarks();
    await rig.settled();
    const replayed = await bookkeeping.query<{ version: string }>('SELECT version::text FROM :s.dead_letter');
    assert.equal(replayed.length, 1, 'replayed, refused again');

    await bookkeeping.commit(documents([2], 'good again'));
    await rig.settled();
    assert.deepEqual(await rig.documents(), truthOf(bookkeeping));
    assert.equal((await bookkeeping.query('SELECT FROM :s.dead_letter')).length, 0, 'superseded');
  });

  it('delivers all of a first load but the refused ones, however many those are', async () => {
    const service = await startReference();
    const bookkeeping = await startBookkeeping();
    const all = Array.from({ length: 3000 }, (_, index) => index + 1);
    const set = documents(all, 'a');
    for (const id of all.filter((one) => one % 2 === 0))
      set[String(id)] = `{"informacion_general":{"id_siirays":${id}},"x":1}`;
    await bookkeeping.commit(set);
    const rig = startDelivery(bookkeeping, service.url);
    await rig.settled();
    assert.equal((await rig.documents()).length, 1500);
    assert.equal((await bookkeeping.query('SELECT FROM :s.dead_letter')).length, 1500);
  });

  it('does not turn round and round where FASTAAPS refuses what was never sent', async () => {
    const service = await startReference();
    const proxy = await startProxy(service.url);
    const bookkeeping = await startBookkeeping();
    const body = JSON.stringify({ detail: [{ id: 99, loc: ['document'], msg: 'no', type: 'x' }] });
    let wrong = true;
    proxy.treat = (made) => (made.startsWith('POST') && wrong ? { status: 422, body } : 'pass');
    await bookkeeping.commit({ 1: document(1, 'a') });
    const rig = startDelivery(bookkeeping, proxy.url);
    await until(() => rig.log.some((line) => line.event === 'delivery_blocked' && line.status === 422), 'the alarm');
    assert.equal((await bookkeeping.query('SELECT FROM :s.dead_letter')).length, 0);
    wrong = false;
    await rig.settled();
  });
});
