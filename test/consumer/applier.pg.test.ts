import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import type pg from 'pg';
import { Registry } from 'prom-client';
import type { CompiledConnector } from '../../src/connector/compiled.ts';
import { loadConnectors } from '../../src/connector/load.ts';
import { Applier, type Outcome } from '../../src/consumer/applier.ts';
import { BrokenHistory, TokenLost } from '../../src/consumer/broken-history.ts';
import { CheckpointStore } from '../../src/consumer/checkpoint.ts';
import { createConsumerMetrics } from '../../src/consumer/consumer-metrics.ts';
import { Merge } from '../../src/consumer/merge.ts';
import { loadReplica, type Replica } from '../../src/consumer/replica.ts';
import { collectionName } from '../../src/consumer/replica-names.ts';
import { missingTables, requestSnapshot } from '../../src/consumer/snapshot.ts';
import { type ChangeEvent, type TableShape, UNCHANGED } from '../../src/kafka/change-event.ts';
import type { TransactionRecord } from '../../src/kafka/transaction-record.ts';
import { connect, disconnect } from '../../src/postgres/session.ts';
import { SiiraysDatabase } from '../connector/siirays-database.ts';
import { testDatabase } from '../support/postgres.ts';
import { silent } from '../support/producer.ts';
import { eventOf, record, shapeOf, snapshotRecord } from './change-events.ts';
import { createSync, type SyncDatabase } from './sync-database.ts';

const TRANSACTION = 't.transaction';
const siiraysDatabase = await testDatabase();
const syncDatabase = await testDatabase();

describe('the applier', () => {
  let epsa: CompiledConnector;
  let shapes: Map<string, TableShape>;
  let sync: SyncDatabase;
  let reader: pg.Client;
  let side: Side;

  before(async () => {
    const siirays = await SiiraysDatabase.create(siiraysDatabase.url);
    epsa = loadConnectors('connectors', siirays.catalog).find(({ name }) => name === 'epsa')!;
    shapes = new Map(
      siirays.catalog.map(({ table, types, key }) => [table, shapeOf(table, types as Record<string, string>, key)]),
    );
    await siirays.close();
    sync = await createSync(syncDatabase.url, epsa);
    reader = await connect({ connectionString: syncDatabase.url });
  });
  after(async () => {
    await Promise.all([disconnect(sync.client), disconnect(reader)]);
  });
  beforeEach(async () => {
    await sync.client.query(
      `DROP SCHEMA epsa CASCADE; CREATE SCHEMA epsa; DROP SCHEMA epsa_staging CASCADE; CREATE SCHEMA epsa_staging;
       DELETE FROM epsa_sync.checkpoint; INSERT INTO epsa_sync.checkpoint (token) VALUES (1);
       TRUNCATE epsa_sync.replica_table, epsa_sync.incomplete, epsa_sync.mark, epsa_sync.document,
         epsa_sync.document_version, epsa_sync.outbox, epsa_sync.dead_letter`,
    );
    await requestSnapshot(sync.client, store(), { id: FIRST, offsets: new Map(), reason: 'test', tables: [] }, false);
    side = await start();
  });

  const FIRST = '00000000-0000-4000-8000-000000000001';
  const store = () => new CheckpointStore('epsa_sync', '1');
  const tables = () => epsa.tables.map(collectionName);
  const row = (table: string, cells: Record<string, string | typeof UNCHANGED>) =>
    shapes.get(table)!.columns.map(({ name }) => cells[name] ?? null);

  interface Side {
    applier: Applier;
    merge: Merge;
    replica: Replica;
    offset: number;
  }

  /** A process's start: everything is read from the database. */
  async function start(projectIntervalMs = 1_000): Promise<Side> {
    const { client, schemas } = sync;
    const checkpoint = await store().read(client);
    const replica = await loadReplica(client, epsa, schemas);
    const merge = new Merge({
      connector: 'epsa',
      transactionTopic: TRANSACTION,
      tables: epsa.tables.map((table) => ({ topic: collectionName(table), collection: collectionName(table) })),
      queueBytes: 1e9,
      offsets: checkpoint.request?.offsets ?? checkpoint.offsets,
      position: checkpoint.position && { history: checkpoint.position.history, seq: BigInt(checkpoint.position.seq) },
      awaited: checkpoint.request?.id ?? null,
    });
    const applier = new Applier({
      client,
      connector: epsa,
      schemas,
      replica,
      store: store(),
      checkpoint,
      merge,
      behind: () => behind,
      onTaken: () => undefined,
      more: () => assert.fail('a unit that lacks events'),
      shapeOf: async ({ table }) => shapes.get(table)!,
      isLiveWhole: missingTables(epsa, replica.live.tables).length === 0,
      projectIntervalMs,
      onRefused: () => undefined,
      metrics: createConsumerMetrics(new Registry()),
      log: silent,
    });
    return { applier, merge, replica, offset: Number(merge.offsets().get(TRANSACTION)) };
  }

  function offer(...records: TransactionRecord[]): void {
    for (const one of records) {
      side.merge.offerRecord({ record: one, offset: String(side.offset), bytes: 100 });
      side.offset += 1;
    }
  }

  let offsets = 0;
  let behind = 0;
  function unit(seq: number, ...events: ChangeEvent[]): void {
    const counts: Record<string, number> = {};
    for (const event of events) {
      const topic = `public.${event.shape.table}`;
      counts[topic] = (counts[topic] ?? 0) + 1;
      offsets += 1;
      side.merge.offerEvent(topic, { ...event, transactionId: `${seq}:${seq * 100}`, offset: String(offsets) });
    }
    offer(record('BEGIN', seq, {}), record('END', seq, counts));
  }

  const put = (table: string, cells: Record<string, string>) =>
    eventOf(shapes.get(table)!, { op: 'r', after: row(table, cells) });
  const gone = (table: string, cells: Record<string, string>) =>
    eventOf(shapes.get(table)!, { op: 'd', before: row(table, cells) });

  async function all(): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (let outcome = await side.applier.next(); outcome; outcome = await side.applier.next()) outcomes.push(outcome);
    return outcomes;
  }

  /** What others see: names in the documents, by id; those deleted are null. */
  async function documents(): Promise<Record<string, string | null>> {
    const { rows } = await reader.query<{ id: string; name: string | null }>(
      `SELECT id, body::jsonb->'informacion_general'->>'nombre' AS name
       FROM epsa_sync.document JOIN epsa_sync.document_version USING (id, epoch, version) ORDER BY id`,
    );
    return Object.fromEntries(rows.map(({ id, name }) => [id, name]));
  }

  async function checkpoint() {
    const { rows } = await reader.query(
      'SELECT *, lsn::text AS lsn_text, projected_lsn::text AS projected_text FROM epsa_sync.checkpoint',
    );
    return rows[0];
  }

  async function firstLoad(): Promise<void> {
    offer(snapshotRecord('BEGIN', 1, FIRST, 'epsa', tables()));
    unit(2, put('epsa', { id_epsa: '1', nombre_epsa: 'one' }), put('epsa', { id_epsa: '2', nombre_epsa: 'two' }));
    offer(snapshotRecord('END', 3, FIRST, 'epsa', tables()));
    await all();
  }

  test('the first load appears at its END, whole, with its commit', async () => {
    offer(snapshotRecord('BEGIN', 1, FIRST, 'epsa', tables()));
    unit(2, put('epsa', { id_epsa: '1', nombre_epsa: 'one' }));
    assert.deepEqual(await all(), [{ projected: false }, { projected: false }]);
    assert.deepEqual(await documents(), {});
    assert.equal((await checkpoint()).projected_seq, null);
    offer(snapshotRecord('END', 3, FIRST, 'epsa', tables()));
    assert.deepEqual(await all(), [{ projected: true }]);
    assert.deepEqual(await documents(), { 1: 'one' });
    const { history, seq, projected_seq, lsn_text, projected_text, request_id, staging_id } = await checkpoint();
    assert.deepEqual(
      { history, seq, projected_seq, lsn_text, projected_text, request_id, staging_id },
      {
        history: 1,
        seq: '3',
        projected_seq: '3',
        lsn_text: '0/15E',
        projected_text: '0/15E',
        request_id: null,
        staging_id: null,
      },
    );
  });

  test('transactions are applied, projected and checkpointed together', async () => {
    await firstLoad();
    unit(4, put('epsa', { id_epsa: '1', nombre_epsa: 'uno' }), gone('epsa', { id_epsa: '2' }));
    unit(5, put('epsa', { id_epsa: '3', nombre_epsa: 'tres' }));
    assert.deepEqual(await all(), [{ projected: true }], 'one batch');
    assert.deepEqual(await documents(), { 1: 'uno', 2: null, 3: 'tres' });
    const { seq, offsets: stored } = await checkpoint();
    assert.equal(seq, '5');
    assert.equal(stored[TRANSACTION], '8');
    assert.equal(stored['public.epsa'], String(offsets + 1));
  });

  test('who has lost the token changes nothing', async () => {
    await firstLoad();
    await reader.query('UPDATE epsa_sync.checkpoint SET token = 2');
    unit(4, put('epsa', { id_epsa: '1', nombre_epsa: 'late' }));
    await assert.rejects(side.applier.next(), TokenLost);
    await sync.client.query('ROLLBACK');
    assert.deepEqual(await documents(), { 1: 'one', 2: 'two' });
    assert.equal((await checkpoint()).seq, '3');
    assert.equal(
      (await reader.query('SELECT nombre_epsa FROM epsa.epsa WHERE id_epsa = 1')).rows[0].nombre_epsa,
      'one',
    );
  });

  test('a new full snapshot replaces everything at once; until then the old documents stand still', async () => {
    await firstLoad();
    offer(snapshotRecord('BEGIN', 4, 'second', 'epsa', tables()));
    unit(5, put('epsa', { id_epsa: '2', nombre_epsa: 'TWO' }), put('epsa', { id_epsa: '4', nombre_epsa: 'FOUR' }));
    unit(6, put('epsa', { id_epsa: '5', nombre_epsa: 'FIVE' }));
    for (let outcome = await side.applier.next(); outcome; outcome = await side.applier.next()) {
      assert.deepEqual(await documents(), { 1: 'one', 2: 'two' });
      assert.equal((await checkpoint()).projected_seq, '3');
    }
    side = await start();
    offer(snapshotRecord('END', 7, 'second', 'epsa', tables()));
    await all();
    assert.deepEqual(await documents(), { 1: null, 2: 'TWO', 4: 'FOUR', 5: 'FIVE' });
    assert.equal((await checkpoint()).projected_seq, '7');
  });

  test('another BEGIN discards the staging under way', async () => {
    await firstLoad();
    offer(snapshotRecord('BEGIN', 4, 'second', 'epsa', tables()));
    unit(5, put('epsa', { id_epsa: '9', nombre_epsa: 'stale' }));
    offer(snapshotRecord('BEGIN', 6, 'third', 'epsa', tables()));
    offer(snapshotRecord('END', 7, 'second', 'epsa', tables()));
    unit(8, put('epsa', { id_epsa: '1', nombre_epsa: 'ONE' }));
    offer(snapshotRecord('END', 9, 'third', 'epsa', tables()));
    await all();
    assert.deepEqual(await documents(), { 1: 'ONE', 2: null });
  });

  test('the swap waits for a row whose value is missing', async () => {
    offer(snapshotRecord('BEGIN', 1, FIRST, 'epsa', tables()));
    unit(
      2,
      eventOf(shapes.get('epsa')!, {
        op: 'u',
        after: row('epsa', { id_epsa: '1', nombre_epsa: 'one', observacion: UNCHANGED }),
      }),
    );
    offer(snapshotRecord('END', 3, FIRST, 'epsa', tables()));
    assert.deepEqual((await all()).at(-1), { projected: false });
    assert.equal(side.applier.awaitsRows, true);
    side = await start();
    assert.equal(side.applier.awaitsRows, true, 'also after a restart');
    unit(4, put('epsa', { id_epsa: '1', nombre_epsa: 'one', observacion: 'text' }));
    assert.deepEqual(await all(), [{ projected: true }]);
    assert.deepEqual(await documents(), { 1: 'one' });
  });

  test('a snapshot that was asked for with fewer tables is not taken for one of all', async () => {
    offer(snapshotRecord('BEGIN', 1, FIRST, 'epsa', tables().slice(1)));
    await assert.rejects(side.applier.next(), BrokenHistory);
  });

  test('giving up a staging copy leads back to where the live replica stands', async () => {
    await firstLoad();
    offer(snapshotRecord('BEGIN', 4, 'second', 'epsa', tables()));
    unit(5, put('epsa', { id_epsa: '9' }));
    await all();
    assert.equal((await checkpoint()).seq, '5');
    await requestSnapshot(sync.client, store(), { id: FIRST, offsets: new Map(), reason: 'hole', tables: [] }, true);
    const { seq, lsn_text, staging_id } = await checkpoint();
    assert.deepEqual({ seq, lsn_text, staging_id }, { seq: '3', lsn_text: '0/15E', staging_id: null });
  });

  test('under a backlog documents follow at the interval, and catch up when nothing comes', async () => {
    await firstLoad();
    side = await start(60_000);
    unit(4, put('epsa', { id_epsa: '1', nombre_epsa: 'a' }));
    await all();
    behind = 1_000;
    unit(5, put('epsa', { id_epsa: '1', nombre_epsa: 'b' }));
    unit(6, put('epsa', { id_epsa: '1', nombre_epsa: 'c' }));
    assert.deepEqual(await all(), [{ projected: false }]);
    assert.equal(await side.applier.idle(), null);
    assert.equal((await documents())[1], 'a');
    const { seq, projected_seq } = await checkpoint();
    assert.deepEqual({ seq, projected_seq }, { seq: '6', projected_seq: '4' });
    behind = 0;
    assert.deepEqual(await side.applier.idle(), { projected: true });
    assert.equal((await documents())[1], 'c');
    assert.equal((await checkpoint()).projected_seq, '6');
  });

  test('marks that others set are projected when nothing comes', async () => {
    await firstLoad();
    await sync.client.query(`DELETE FROM epsa_sync.outbox`);
    assert.equal(await side.applier.idle(), null);
    await reader.query(`INSERT INTO epsa_sync.mark VALUES ('2', true)`);
    assert.equal(await side.applier.idle(), null, 'looked a moment ago');
    side.applier.marked();
    assert.deepEqual(await side.applier.idle(), { projected: true });
    assert.equal((await reader.query('SELECT id FROM epsa_sync.outbox')).rows[0].id, '2');
  });

  test('a unit larger than what is held in memory is committed whole', async () => {
    await firstLoad();
    const events = Array.from({ length: 60_000 }, (_, i) =>
      put('localidad', { id_localidad: String(i), localidad: 'L' }),
    );
    unit(4, ...events.map((event) => ({ ...event, bytes: 1_000 })));
    const seen: number[] = [];
    let done = false;
    const applied = all().finally(() => {
      done = true;
    });
    while (!done) seen.push((await reader.query('SELECT count(*)::int AS n FROM epsa.localidad')).rows[0].n);
    await applied;
    assert.equal((await reader.query('SELECT count(*)::int AS n FROM epsa.localidad')).rows[0].n, 60_000);
    assert.deepEqual(
      seen.filter((n) => n !== 0 && n !== 60_000),
      [],
    );
  });
});
