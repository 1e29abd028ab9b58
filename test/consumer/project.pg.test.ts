import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import type pg from 'pg';
import type { CatalogTable } from '../../src/connector/catalog.ts';
import type { CompiledConnector } from '../../src/connector/compiled.ts';
import { loadConnectors } from '../../src/connector/load.ts';
import { BatchWriter } from '../../src/consumer/batch-writer.ts';
import type { Commit } from '../../src/consumer/checkpoint.ts';
import type { Projected } from '../../src/consumer/project.ts';
import type { Replica } from '../../src/consumer/replica.ts';
import type { ChangeEvent, TableShape } from '../../src/kafka/change-event.ts';
import { UNCHANGED } from '../../src/kafka/change-event.ts';
import { disconnect } from '../../src/postgres/session.ts';
import { type Change, effectOf, randomChange, randomRows } from '../connector/random-rows.ts';
import type { Row } from '../connector/reference-projection.ts';
import { SiiraysDatabase } from '../connector/siirays-database.ts';
import { testDatabase } from '../support/postgres.ts';
import { eventOf, shapeOf } from './change-events.ts';
import { createSync } from './sync-database.ts';

const IDS = ['1', '2', '3', '4', '5', '6'];
const COMMIT: Commit = { history: 1, seq: '7', lsn: '23931720', committedMs: 1_700_000_000_000 };

const siiraysDatabase = await testDatabase();
const syncDatabase = await testDatabase();

describe('projecting', () => {
  let siirays: SiiraysDatabase;
  let epsa: CompiledConnector;
  let client: pg.Client;
  let replica: Replica;
  let shapes: Map<string, TableShape>;

  before(async () => {
    siirays = await SiiraysDatabase.create(siiraysDatabase.url);
    epsa = loadConnectors('connectors', siirays.catalog).find(({ name }) => name === 'epsa')!;
    ({ client, replica } = await createSync(syncDatabase.url, epsa));
    shapes = new Map(
      siirays.catalog.map(({ table, types, key }) => [table, shapeOf(table, types as Record<string, string>, key)]),
    );
    for (const { table } of epsa.tables) await replica.live.tables.ensure(client, shapes.get(table)!);
  });
  beforeEach(async () => {
    for (const { relation } of replica.live.tables.all()) await client.query(`DELETE FROM ${relation}`);
    for (const table of ['mark', 'document', 'document_version', 'outbox', 'dead_letter', 'incomplete']) {
      await client.query(`DELETE FROM epsa_sync.${table}`);
    }
    await replica.live.incomplete.load(client);
  });
  after(async () => {
    await disconnect(client);
    await siirays.close();
  });

  /** One batch: events, then the projection. */
  async function apply(...events: ChangeEvent[]): Promise<Projected> {
    const writer = new BatchWriter(client, replica.live);
    const tables = [...shapes.keys()];
    for (const event of events) writer.add(tables.indexOf(event.shape.table), [event]);
    await writer.flush();
    const projected = await replica.projection.run(client, COMMIT, false);
    await writer.commit();
    return projected;
  }

  /** The newest version of each document that is not deleted. */
  async function documents(): Promise<Record<string, string>> {
    const { rows } = await client.query<{ id: string; body: string }>(
      `SELECT d.id, v.body FROM epsa_sync.document d JOIN epsa_sync.document_version v USING (id, epoch, version)
       WHERE v.body IS NOT NULL ORDER BY id`,
    );
    return Object.fromEntries(rows.map(({ id, body }) => [id, body]));
  }

  async function one<Row extends pg.QueryResultRow>(sql: string): Promise<Row | undefined> {
    return (await client.query<Row>(sql)).rows[0];
  }

  const outbox = () => one<{ version: string }>(`SELECT version FROM epsa_sync.outbox WHERE id = '1'`);
  const deadLetter = () => one<{ path: string; reason: string }>(`SELECT * FROM epsa_sync.dead_letter WHERE id = '1'`);

  const cells = (table: string, row: Row) => shapes.get(table)!.columns.map(({ name }) => row[name] ?? null);
  const insert = (table: string, row: Row) => eventOf(shapes.get(table)!, { op: 'c', after: cells(table, row) });
  const update = (table: string, row: Row) => eventOf(shapes.get(table)!, { op: 'u', after: cells(table, row) });
  const remove = (table: string, row: Row) => eventOf(shapes.get(table)!, { op: 'd', before: cells(table, row) });

  test('after any batch of changes the documents are those of the changed SIIRAyS', async () => {
    const step = fc.oneof(
      { weight: 12, arbitrary: randomChange(siirays.catalog) },
      { weight: 1, arbitrary: fc.record({ truncated: fc.constantFrom(...siirays.catalog) }) },
    );
    const batches = fc.array(fc.array(step, { minLength: 1, maxLength: 8 }), {
      minLength: 1,
      maxLength: 6,
    });
    let versions = 0;
    await fc.assert(
      fc.asyncProperty(randomRows(siirays.catalog), batches, fc.boolean(), async (start, list, leave) => {
        await client.query(`DELETE FROM epsa_sync.document; DELETE FROM epsa_sync.document_version`);
        await siirays.fill(start);
        const rows = (await siirays.read()) as Record<string, Row[]>;
        await apply(
          ...siirays.catalog.map(({ table }) => eventOf(shapes.get(table)!, { op: 't' })),
          ...Object.entries(rows).flatMap(([table, all]) => all.map((row) => insert(table, row))),
        );
        for (const changes of list) {
          const events: ChangeEvent[] = [];
          for (const change of changes) {
            if ('truncated' in change) events.push(truncate(change.truncated, rows));
            else events.push(...(await effect(change, rows, leave)));
          }
          versions += (await apply(...events)).changed;
          await siirays.fill(rows);
          const expected = (await siirays.project(epsa, IDS)).filter(({ body }) => body !== null);
          assert.deepEqual(await documents(), Object.fromEntries(expected.map(({ id, body }) => [id, body])));
        }
      }),
      { numRuns: 100 },
    );
    assert.ok(versions > 100, `${versions} versions`);
  });

  /** Empties the table as TRUNCATE does, or reads it again as a chunk does where it has no key. */
  function truncate({ table }: CatalogTable, rows: Record<string, Row[]>): ChangeEvent {
    rows[table] = [];
    return eventOf(shapes.get(table)!, { op: 't' });
  }

  /** Changes `rows` and gives the events; texts that stay are left out where `leave` is set. */
  async function effect(change: Change, rows: Record<string, Row[]>, leave: boolean): Promise<ChangeEvent[]> {
    const { table } = change;
    const all = rows[table.table]!;
    const done = effectOf(change, all);
    if (done === null) return [];
    const removed = done.removed[0];
    const added = done.added[0] && (await canonical(table, done.added[0]));
    if (removed) all.splice(all.indexOf(removed), 1);
    if (added) all.push(added);
    const shape = shapes.get(table.table)!;
    if (!removed) return [insert(table.table, added!)];
    if (!added) return [remove(table.table, removed)];
    const moved = table.key.some((column) => removed[column] !== added[column]);
    const before = moved || table.key.length === 0 ? cells(table.table, removed) : null;
    const after = shape.columns.map(({ name, type }) =>
      leave && type === 'text' && added[name] !== null && added[name] === removed[name] ? UNCHANGED : added[name]!,
    );
    return [eventOf(shape, { op: 'u', before, after })];
  }

  /** The row as PostgreSQL writes it. */
  async function canonical({ table }: CatalogTable, row: Row): Promise<Row> {
    const { rows } = await siirays.client.query<Row>(
      `SELECT (r).* FROM (SELECT json_populate_record(NULL::"${table}", $1) AS r) AS x`,
      [JSON.stringify(row)],
    );
    return rows[0]!;
  }

  test('a document that comes out equal makes no version, unless it is forced', async () => {
    assert.deepEqual(await apply(insert('epsa', { id_epsa: '1', nombre_epsa: 'A' })), {
      marked: 1,
      changed: 1,
      refused: 0,
    });
    const version = (await outbox())!.version;
    assert.equal((await apply(update('epsa', { id_epsa: '1', nombre_epsa: 'A' }))).changed, 0);
    assert.equal((await outbox())!.version, version);
    await client.query(`INSERT INTO epsa_sync.mark (id, forced) VALUES ('1', true)`);
    assert.equal((await apply()).changed, 1);
    assert.ok(BigInt((await outbox())!.version) > BigInt(version));
  });

  test('A -> B -> A makes a version each time, although A was the one delivered', async () => {
    await apply(insert('epsa', { id_epsa: '1', nombre_epsa: 'A' }));
    await client.query(
      `UPDATE epsa_sync.document SET accepted_epoch = epoch, accepted_version = version; DELETE FROM epsa_sync.outbox`,
    );
    await apply(update('epsa', { id_epsa: '1', nombre_epsa: 'B' }));
    assert.equal((await apply(update('epsa', { id_epsa: '1', nombre_epsa: 'A' }))).changed, 1);
    assert.match((await documents())['1']!, /"nombre" ?: ?"A"/);
    assert.ok(await outbox());
  });

  test('an EPSA that goes becomes a deletion, and comes back', async () => {
    await apply(insert('epsa', { id_epsa: '1' }));
    await apply(remove('epsa', { id_epsa: '1' }));
    const gone = await one(
      `SELECT deleted, hash, body FROM epsa_sync.document JOIN epsa_sync.document_version USING (id, epoch, version)`,
    );
    assert.deepEqual(gone, { deleted: true, hash: null, body: null });
    assert.ok(await outbox(), 'the deletion is to be sent');
    assert.equal((await apply(insert('epsa', { id_epsa: '1' }))).changed, 1);
    assert.deepEqual(Object.keys(await documents()), ['1']);
  });

  test('an EPSA that was never there is not deleted, except by force', async () => {
    await client.query(`INSERT INTO epsa_sync.mark (id, forced) VALUES ('1', false)`);
    assert.equal((await apply()).changed, 0);
    await client.query(`INSERT INTO epsa_sync.mark (id, forced) VALUES ('1', true)`);
    assert.equal((await apply()).changed, 1);
    assert.ok(await outbox());
  });

  test('a document that lacks a required field is a dead letter, is not sent, and is cured by the next good one', async () => {
    const good = { id_tecnica_tuberia: '1', id_epsa: '1', id_localidad: '1', id_sector: '1', id_material_tuberia: '1' };
    await apply(
      insert('epsa', { id_epsa: '1' }),
      insert('localidad', { id_localidad: '1', localidad: 'L' }),
      insert('sector', { id_sector: '1', sector: 'S' }),
      insert('material_tuberia', { id_material_tuberia: '1', material_tuberia: 'M' }),
      insert('tecnica_tuberia', good),
    );
    assert.ok(await outbox());
    const done = await apply(update('localidad', { id_localidad: '1' }));
    assert.deepEqual(done, { marked: 1, changed: 1, refused: 1 });
    assert.equal(await outbox(), undefined, 'the older version is not sent instead');
    const letter = (await deadLetter())!;
    assert.deepEqual([letter.reason, letter.path], ['schema', 'tuberias[0].localidad']);
    assert.equal((await apply(update('tecnica_tuberia', { ...good, longitud_total: '1.00' }))).refused, 1);
    assert.deepEqual(await apply(update('localidad', { id_localidad: '1', localidad: 'L' })), {
      marked: 1,
      changed: 1,
      refused: 0,
    });
    assert.equal(await deadLetter(), undefined);
    assert.ok(await outbox());
  });

  test('ten versions are kept, and the accepted one', async () => {
    await apply(insert('epsa', { id_epsa: '1', nombre_epsa: 'first' }));
    await client.query(`UPDATE epsa_sync.document SET accepted_epoch = epoch, accepted_version = version`);
    for (let i = 0; i < 15; i++) await apply(update('epsa', { id_epsa: '1', nombre_epsa: `n${i}` }));
    const { rows } = await client.query<{ body: string }>(
      `SELECT body FROM epsa_sync.document_version ORDER BY version`,
    );
    assert.equal(rows.length, 11);
    assert.match(rows[0]!.body, /first/);
    assert.match(rows[1]!.body, /n5/);
  });

  test('versions carry the epoch, the commit, and rise over all documents', async () => {
    await client.query('UPDATE epsa_sync.checkpoint SET epoch = 4');
    await apply(insert('epsa', { id_epsa: '1' }), insert('epsa', { id_epsa: '2' }));
    const { rows } = await client.query(
      `SELECT epoch, version, history, seq, lsn::text FROM epsa_sync.document_version`,
    );
    assert.equal(new Set(rows.map(({ version }) => version)).size, 2);
    for (const row of rows) {
      assert.deepEqual({ ...row, version: '' }, { epoch: 4, version: '', history: 1, seq: '7', lsn: '0/16D2B48' });
    }
  });

  test('documents that hold an incomplete row wait for it; the others go on', async () => {
    await apply(insert('epsa', { id_epsa: '1' }), insert('epsa', { id_epsa: '2' }));
    const partial = (id: string) =>
      eventOf(shapes.get('epsa')!, {
        op: 'u',
        after: cells('epsa', { id_epsa: id, nombre_epsa: 'new' }).map((cell, i) =>
          shapes.get('epsa')!.columns[i]!.name === 'observacion' ? UNCHANGED : cell,
        ),
      });
    await client.query('DELETE FROM epsa.epsa WHERE id_epsa = 1');
    const done = await apply(partial('1'), partial('2'));
    assert.equal(done.changed, 1);
    assert.doesNotMatch((await documents())['1']!, /new/);
    assert.match((await documents())['2']!, /new/);
    assert.equal((await apply(update('epsa', { id_epsa: '1', nombre_epsa: 'whole' }))).changed, 1);
    assert.match((await documents())['1']!, /whole/);
  });
});
