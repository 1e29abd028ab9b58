import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';
import { startProxy } from '../../fastaaps/proxy.ts';
import { document, header, post, startReference, TARGET, upsert } from '../../fastaaps/reference.ts';
import { testDatabase } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { startBookkeeping } from './bookkeeping.ts';
import { documents, type Rig, startDelivery, truthOf } from './rig.ts';

// One server for all tests of this file.
await testDatabase();

const head = (version: number, more = {}): string => `${JSON.stringify(header(version, more))}\n`;
const events = (rig: Rig, event: string) => rig.log.filter((line) => line.event === event);

describe('epochs: our versions are above all that FASTAAPS has', () => {
  it('replaces the set of a sync database that is no more', async () => {
    const service = await startReference();
    await post(service.url, [head(900, { epoch: 3 }), upsert(1, 900), upsert(2, 850), upsert(77, 5)]);
    const bookkeeping = await startBookkeeping();
    const rig = startDelivery(bookkeeping, service.url);
    await until(() => events(rig, 'epoch_raised').length === 1, 'the epoch, raised before anything was projected');
    assert.equal((await rig.documents()).length, 3, 'nothing is deleted before there is a replica');

    await bookkeeping.commit(documents([1, 2], 'from the new one'));
    await rig.settled();
    assert.deepEqual(await rig.documents(), truthOf(bookkeeping));
    assert.equal((await rig.client.getPosition(TARGET))?.epoch, 4);
    assert.equal(rig.delivered().length, 1, 'what is no more goes in the same changeset');
    assert.equal(rig.delivered()[0]?.deleted, 1);
  });

  it('raises the epoch when documents are ignored that should not have been', async () => {
    const service = await startReference();
    const bookkeeping = await startBookkeeping();
    const rig = startDelivery(bookkeeping, service.url);
    await bookkeeping.commit(documents([1, 2, 3], 'a'));
    await rig.settled();
    // sync was restored: its counter goes back while FASTAAPS remembers what came after.
    await post(service.url, [head(500, { epoch: 0 }), upsert(2, 500, document(2, 'from a future that is gone'))]);
    await bookkeeping.commit(documents([1, 2], 'b'));
    await rig.settled();
    assert.deepEqual(await rig.documents(), truthOf(bookkeeping));
    assert.equal(events(rig, 'epoch_raised').length, 1);
    assert.equal((await rig.client.getPosition(TARGET))?.epoch, 1);
    await bookkeeping.commit(documents([2], 'c'));
    await rig.settled();
    assert.equal(events(rig, 'epoch_raised').length, 1, 'once is enough');
    assert.equal(rig.delivered().at(-1)?.ignored, 0);
  });

  it('finds after a crash what it had sent without an answer', async () => {
    const service = await startReference();
    const proxy = await startProxy(service.url);
    const bookkeeping = await startBookkeeping();
    const first = startDelivery(bookkeeping, proxy.url);
    await bookkeeping.commit(documents([1, 2, 3], 'a'));
    await first.settled();
    proxy.treat = (made) => (made.startsWith('POST') ? 'lose' : 'pass');
    await bookkeeping.commit(documents([2], 'b'));
    first.delivery.wake();
    await until(() => events(first, 'delivery_retry').length > 0, 'a lost answer');
    await first.stop();
    proxy.treat = () => 'pass';

    await bookkeeping.commit({ 3: null });
    const second = startDelivery(bookkeeping, proxy.url);
    await second.settled();
    assert.deepEqual(await second.documents(), truthOf(bookkeeping));
    assert.ok(second.delivered().every((line) => line.ignored === 0));
    await second.stop();
    const third = startDelivery(bookkeeping, proxy.url);
    await bookkeeping.commit(documents([1], 'c'));
    await third.settled();
    assert.equal(events(third, 'documents_compared').length, 0, 'everything is known again');
  });

  it('sends again what FASTAAPS has lost, and takes away what it should not have', async () => {
    const service = await startReference();
    const bookkeeping = await startBookkeeping();
    const first = startDelivery(bookkeeping, service.url);
    await bookkeeping.commit(documents([1, 2, 3, 4], 'a'));
    await first.settled();
    await first.stop();
    const database = new pg.Client({ connectionString: service.databaseUrl });
    await database.connect();
    await database.query(`DELETE FROM changeset_position; DELETE FROM document WHERE id IN ('1', '2')`);
    await database.query(`UPDATE document SET document = document || '{"tuberias": []}' WHERE id = '3'`);
    await database.query(
      `INSERT INTO document (collection, db_tag, id, document) VALUES ('registro', 'sync', '9', '{"stray": true}')`,
    );
    await database.end();

    const second = startDelivery(bookkeeping, service.url);
    await until(() => second.delivered().length > 0, 'a changeset');
    await second.settled();
    assert.deepEqual(await second.documents(), truthOf(bookkeeping));
    assert.equal(second.delivered()[0]?.documents, 4, 'the fourth document was as it should be');
    assert.equal(events(second, 'epoch_raised').length, 0);
  });

  it('notices at once that FASTAAPS was emptied or restored while it runs, and before the next changeset hides it', async () => {
    const service = await startReference();
    const bookkeeping = await startBookkeeping();
    const database = new pg.Client({ connectionString: service.databaseUrl });
    await database.connect();
    const rig = startDelivery(bookkeeping, service.url);
    await bookkeeping.commit(documents([1, 2, 3], 'a'));
    await rig.settled();
    await database.query(
      'CREATE TABLE saved AS TABLE document; CREATE TABLE saved_position AS TABLE changeset_position',
    );
    await bookkeeping.commit({ ...documents([1, 4], 'b'), 2: null });
    await rig.settled();

    await database.query('TRUNCATE document, changeset_position');
    await until(async () => (await rig.documents()).length > 0, 'the emptied set to be filled without a commit');
    await rig.settled();
    assert.deepEqual(await rig.documents(), truthOf(bookkeeping));
    assert.match(String(events(rig, 'fastaaps_strayed')[0]?.msg), /emptied/);

    await database.query(`BEGIN; TRUNCATE document, changeset_position;
      INSERT INTO document (collection, db_tag, id, epoch, version, document)
        SELECT collection, db_tag, id, epoch, version, document FROM saved;
      INSERT INTO changeset_position TABLE saved_position; COMMIT`);
    // The changeset itself would make FASTAAPS's position ours again.
    await bookkeeping.commit(documents([3], 'c'));
    rig.delivery.wake();
    await until(async () => isDeepStrictEqual(await rig.documents(), truthOf(bookkeeping)), 'the restored set mended');
    await rig.settled();
    assert.equal(events(rig, 'fastaaps_strayed').length, 2, 'each is told once');
    assert.match(String(events(rig, 'fastaaps_strayed')[1]?.msg), /restored/);
    assert.match(await rig.metrics.metrics(), /siirays_sync_fastaaps_strayed_total 2/);
    await until(() => rig.ready.get('documents')?.ok, 'ready again');
    assert.equal(events(rig, 'epoch_raised').length, 0);
    await database.end();
  });

  it('does not send rows of an older epoch, or without a body, but has them made anew', async () => {
    const service = await startReference();
    const bookkeeping = await startBookkeeping();
    await bookkeeping.commit(documents([1, 2], 'a'));
    await bookkeeping.query('UPDATE :s.checkpoint SET epoch = 7');
    await bookkeeping.query(`DELETE FROM :s.document_version WHERE id = '2'`);
    const rig = startDelivery(bookkeeping, service.url);
    await rig.settled();
    assert.deepEqual(await rig.documents(), truthOf(bookkeeping));
    const versions = await bookkeeping.query('SELECT accepted_epoch AS epoch FROM :s.document');
    assert.deepEqual(versions, [{ epoch: 7 }, { epoch: 7 }]);
  });
});
