import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startProxy } from '../../fastaaps/proxy.ts';
import { startReference } from '../../fastaaps/reference.ts';
import { testDatabase } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { startBookkeeping } from './bookkeeping.ts';
import { documents, startDelivery, truthOf } from './rig.ts';

// One server for all tests of this file.
await testDatabase();

describe('delivery with the adapter restore, to today’s service', () => {
  it('sends the whole set when something changed, at most once an interval', async () => {
    const service = await startReference({ likeToday: true });
    const proxy = await startProxy(service.url);
    const bookkeeping = await startBookkeeping();
    const restoreIntervalMs = 700;
    const rig = startDelivery(bookkeeping, proxy.url, { adapter: 'restore', restoreIntervalMs });
    await bookkeeping.commit(documents([1, 2, 3], 'a'));
    await rig.settled();
    assert.deepEqual(await rig.documents(), truthOf(bookkeeping));
    const started = performance.now();
    for (let round = 0; round < 20; round += 1) {
      await bookkeeping.commit({ ...documents([1], `round ${round}`), 3: null });
      rig.delivery.wake();
    }
    await rig.settled();
    assert.deepEqual(await rig.documents(), truthOf(bookkeeping));
    const most = 1 + Math.ceil((performance.now() - started) / restoreIntervalMs);
    const sent = proxy.calls.filter((made) => made.startsWith('POST')).length - 1;
    assert.ok(sent >= 1 && sent <= most, `${sent} sets`);

    const before = proxy.calls.length;
    await bookkeeping.commit();
    await rig.settled();
    assert.equal(proxy.calls.length, before, 'nothing changed, nothing is sent');
  });

  it('finds the refused document by its place, keeps its last accepted version, and sends the rest at once', async () => {
    const service = await startReference({ likeToday: true });
    const bookkeeping = await startBookkeeping();
    const rig = startDelivery(bookkeeping, service.url, { adapter: 'restore' });
    await bookkeeping.commit(documents([1, 2, 3], 'a'));
    await rig.settled();
    await bookkeeping.commit({
      ...documents([3], 'b'),
      2: '{"informacion_general":{"id_siirays":2},"tuberias":[{}]}',
      4: '{"informacion_general":{"nombre":"new, and refused"}}',
    });
    await rig.settled();
    const shown = (await rig.documents()) as { informacion_general: { id_siirays: number; nombre: string } }[];
    assert.deepEqual(
      shown.map((one) => [one.informacion_general.id_siirays, one.informacion_general.nombre]),
      [
        [1, 'a'],
        [2, 'a'],
        [3, 'b'],
      ],
    );
    const letters = await bookkeeping.query('SELECT id, path FROM :s.dead_letter ORDER BY id');
    assert.deepEqual(letters, [
      { id: '2', path: 'tuberias[0].localidad' },
      { id: '4', path: 'informacion_general.id_siirays' },
    ]);
    await bookkeeping.commit(documents([2, 4], 'c'));
    await rig.settled();
    assert.deepEqual(await rig.documents(), truthOf(bookkeeping));
    assert.equal((await bookkeeping.query('SELECT FROM :s.dead_letter')).length, 0);
  });

  it('leaves a document out whose last accepted version is refused too', async () => {
    const service = await startReference({ likeToday: true });
    const bookkeeping = await startBookkeeping();
    const first = startDelivery(bookkeeping, service.url, { adapter: 'restore' });
    await bookkeeping.commit({ ...documents([1, 3], 'a'), 2: '{"informacion_general":{"id_siirays":2}}' });
    await first.settled();
    await first.stop();
    await service.close(0);
    const stricter = {
      path: '/registro',
      idPath: ['informacion_general', 'id_siirays'],
      schema: { properties: { informacion_general: { required: ['nombre'] } } },
    };
    const port = Number(new URL(service.url).port);
    await startReference({ databaseUrl: service.databaseUrl, port, likeToday: true, models: [stricter] });
    const second = startDelivery(bookkeeping, service.url, { adapter: 'restore' });
    await bookkeeping.commit({ ...documents([1], 'b'), 2: '{"informacion_general":{"id_siirays":2},"tuberias":[]}' });
    await second.settled();
    assert.equal((await second.documents()).length, 2);
    await bookkeeping.commit(documents([2], 'named'));
    await second.settled();
    assert.equal((await second.documents()).length, 3);
  });

  it('repeats after a lost answer', async () => {
    const service = await startReference({ likeToday: true });
    const proxy = await startProxy(service.url);
    const bookkeeping = await startBookkeeping();
    let accidents = 1;
    proxy.treat = (made) => (made.startsWith('POST') && accidents-- > 0 ? 'lose' : 'pass');
    await bookkeeping.commit(documents([1, 2], 'a'));
    const rig = startDelivery(bookkeeping, proxy.url, { adapter: 'restore' });
    await until(() => rig.log.some((line) => line.event === 'delivery_retry'), 'the lost answer');
    await rig.settled();
    assert.deepEqual(await rig.documents(), truthOf(bookkeeping));
  });
});
