import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startProxy } from '../../fastaaps/proxy.ts';
import { all, call, document, startReference, TARGET } from '../../fastaaps/reference.ts';
import { testDatabase } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { startBookkeeping } from './bookkeeping.ts';
import { documents, startDelivery, truthOf } from './rig.ts';

// One server for all tests of this file.
await testDatabase();

describe('delivery with the adapter changes', () => {
  it('sends all that is pending as one changeset, and writes down what came back', async () => {
    const service = await startReference();
    const bookkeeping = await startBookkeeping();
    await bookkeeping.commit(documents([1, 2, 3], 'a'));
    await bookkeeping.commit({ ...documents([4], 'a'), 3: null });
    const rig = startDelivery(bookkeeping, service.url);
    await rig.settled();

    assert.deepEqual(await rig.documents(), truthOf(bookkeeping));
    const [line] = rig.delivered();
    assert.equal(rig.delivered().length, 1);
    assert.deepEqual([line?.documents, line?.deleted, line?.ignored, line?.seq, line?.lsn], [4, 1, 0, '2', '0/2']);
    for (const field of ['delayMs', 'ms', 'bytes']) assert.equal(typeof line?.[field], 'number', field);
    const versions = await all(rig.client.getVersions(TARGET));
    const rows = await bookkeeping.query(
      `SELECT id, accepted_epoch AS epoch, accepted_version::text AS version, etag FROM :s.document ORDER BY id::int`,
    );
    assert.deepEqual(rows, versions);
    assert.deepEqual(await rig.client.getPosition(TARGET), {
      source: 'siirays2019',
      epoch: 0,
      version: versions
        .map((version) => version.version)
        .sort()
        .at(-1),
      history: 1,
      seq: '2',
      lsn: '0/2',
    });
    assert.match(await rig.metrics.metrics(), /siirays_sync_changesets_delivered_total\{adapter="changes"\} 1/);
    await until(() => rig.ready.get('fastaaps')?.ok, 'ready');
  });

  it('keeps every digit, and takes bodies with line feeds', async () => {
    const service = await startReference();
    const bookkeeping = await startBookkeeping();
    const monto = '12345678901234567890.120';
    const rig = startDelivery(bookkeeping, service.url);
    await bookkeeping.commit({ 1: document(1, 'a', `,\n "monto":${monto}\r\n`) });
    await rig.settled();
    const text = await rig.client.getDocument(TARGET, '1');
    assert.ok(text?.includes(`"monto": ${monto}`), text ?? '');
  });

  it('tells FASTAAPS the commit also when no document changed, but not for each one', async () => {
    const service = await startReference();
    const bookkeeping = await startBookkeeping();
    const rig = startDelivery(bookkeeping, service.url);
    await bookkeeping.commit(documents([1], 'a'));
    await rig.settled();
    const begun = performance.now();
    for (let commit = 0; commit < 50; commit += 1) {
      await bookkeeping.commit();
      rig.delivery.wake();
    }
    await rig.settled();
    assert.equal((await rig.client.getPosition(TARGET))?.seq, '51');
    const empty = rig.delivered().filter((line) => line.documents === 0);
    const most = 3 + (performance.now() - begun) / 1_000;
    assert.ok(empty.length >= 1 && empty.length <= most, `${empty.length} empty changesets`);

    bookkeeping.newHistory();
    await bookkeeping.commit();
    await rig.settled();
    const position = await rig.client.getPosition(TARGET);
    assert.deepEqual([position?.history, position?.seq], [2, '1'], 'a new history counts from the beginning');
  });

  it('repeats a changeset whose answer was lost, which changes nothing', async () => {
    const service = await startReference();
    const proxy = await startProxy(service.url);
    const bookkeeping = await startBookkeeping();
    const rig = startDelivery(bookkeeping, proxy.url);
    await bookkeeping.commit(documents([1], 'first'));
    await rig.settled();
    const seen: unknown[] = [];
    let accidents = 2;
    proxy.treat = (made) => (made.startsWith('POST') && accidents-- > 0 ? 'lose' : 'pass');
    await bookkeeping.commit(documents([1, 2, 3], 'second'));
    await rig.settled();
    seen.push(await (await call(service.url, '/registro/versions?db_tag=sync')).text());

    assert.deepEqual(await rig.documents(), truthOf(bookkeeping));
    assert.equal(rig.delivered().at(-1)?.ignored, 3);
    assert.equal(rig.log.filter((line) => line.event === 'delivery_retry').length, 2);
    assert.equal(rig.log.filter((line) => line.event === 'epoch_raised').length, 0, 'this was to be expected');
    const rows = await bookkeeping.query(
      'SELECT id, accepted_version = version AS accepted FROM :s.document ORDER BY id',
    );
    assert.ok(rows.every((row) => row.accepted));
  });

  it('leaves a version that was projected during the request for the next changeset', async () => {
    const service = await startReference();
    const proxy = await startProxy(service.url);
    const bookkeeping = await startBookkeeping();
    const rig = startDelivery(bookkeeping, proxy.url);
    const answer = Promise.withResolvers<void>();
    proxy.treat = (made) => (made.startsWith('POST') ? { hold: answer.promise } : 'pass');
    await bookkeeping.commit(documents([1, 2], 'old'));
    rig.delivery.wake();
    await until(async () => (await rig.documents()).length === 2, 'the first changeset');
    await bookkeeping.commit(documents([1], 'new'));
    answer.resolve();
    await rig.settled();
    assert.deepEqual(await rig.documents(), truthOf(bookkeeping));
    assert.deepEqual(
      rig.delivered().map((line) => line.documents),
      [2, 1],
    );
  });

  it('writes nothing down once another process holds the token', async () => {
    const service = await startReference();
    const proxy = await startProxy(service.url);
    const bookkeeping = await startBookkeeping();
    const answer = Promise.withResolvers<void>();
    proxy.treat = (made) => (made.startsWith('POST') ? { hold: answer.promise } : 'pass');
    const rig = startDelivery(bookkeeping, proxy.url);
    await bookkeeping.commit(documents([1], 'a'));
    rig.delivery.wake();
    await until(async () => (await rig.documents()).length === 1, 'the changeset');
    await bookkeeping.query('UPDATE :s.checkpoint SET token = 2');
    answer.resolve();
    await until(() => rig.tokensLost === 1, 'the end of the delivery');
    const [row] = await bookkeeping.query(
      'SELECT accepted_version, (SELECT count(*)::int FROM :s.outbox) FROM :s.document',
    );
    assert.deepEqual(row, { accepted_version: null, count: 1 });
    const [delivery] = await bookkeeping.query('SELECT version FROM :s.delivery');
    assert.equal(delivery?.version, null);
  });
});
