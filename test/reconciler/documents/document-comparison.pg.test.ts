import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { connect, disconnect } from '../../../src/postgres/session.ts';
import { ReplicaSession } from '../../../src/reconciler/documents/replica-session.ts';
import { markUnlessSetAside } from '../../../src/reconciler/mark-documents.ts';
import { testDatabase } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';
import { DocumentsRig, scanAll } from './documents-rig.ts';

// One server for all tests of this file.
await testDatabase();

/** The sample's ids. */
const id = (place: number): string => String(1601 + place);

describe('the comparison of documents by versions', () => {
  test('finds nothing where all is equal, in order, and goes on after any range', async () => {
    const rig = await DocumentsRig.start({ epsas: 700, adapter: 'changes' });
    const whole = await scanAll(rig.comparison());
    assert.deepEqual([...whole.candidates], []);
    assert.ok(whole.ranges.length > 1, `${whole.ranges.length} ranges`);
    const expected = Array.from({ length: 700 }, (_, place) => id(place)).sort();
    assert.deepEqual(whole.proven, expected);
    assert.deepEqual(new Set(whole.ranges.map(({ total }) => total)), new Set([700]));
    const rest = await scanAll(rig.comparison(), JSON.parse(JSON.stringify(whole.ranges[0]!.cursor)));
    assert.deepEqual(rest.proven, expected.slice(whole.ranges[0]!.compared));
    assert.equal(rest.ranges[0]?.total, 700);
    assert.deepEqual(await scanAll(rig.comparison(), whole.ranges.at(-1)!.cursor), {
      ...{ ranges: [], proven: [] },
      candidates: new Map(),
    });
    const some = await scanAll(rig.comparison([id(3), id(1), 'no such id', '01601']));
    assert.deepEqual(some.proven, [id(1), id(3)]);
    assert.deepEqual(
      some.ranges.flatMap(({ unknown }) => unknown),
      ['01601', 'no such id'],
    );

    await rig.fastaapsDatabase.query('DELETE FROM document');
    const comparison = rig.comparison();
    const { candidates } = await scanAll(comparison);
    const described = [...(await comparison.describe([...candidates.values()])).values()];
    assert.equal(described.length, 700);
    assert.equal(
      described.filter(({ expected }) => expected !== null).length,
      200,
      'of the others only the kind is told',
    );
  });

  test('finds each fault at the side where it is, and a repair makes it right', async () => {
    const rig = await DocumentsRig.start({ epsas: 40, adapter: 'changes' });
    const { sync, fastaapsDatabase } = rig;
    const edit = `UPDATE document SET document = jsonb_set(document, '{informacion_general,nombre}', '"edited"')`;
    const rename = `UPDATE epsa.epsa SET nombre_epsa = 'new'`;
    // Changed, deleted and added behind the service's back; two ids that no root can have.
    await fastaapsDatabase.query(`${edit} WHERE id = $1`, [id(0)]);
    await fastaapsDatabase.query('DELETE FROM document WHERE id = $1', [id(1)]);
    await fastaapsDatabase.query(
      `INSERT INTO document (collection, db_tag, id, version, document)
       SELECT 'registro', 'sync', unnest('{999,abc,01603}'::text[]), 1, '{"a":1}'`,
    );
    await sync.query(`UPDATE epsa_sync.document SET etag = 'another' WHERE id = $1`, [id(2)]);
    await sync.query(`UPDATE epsa_sync.document SET hash = '\\x00' WHERE id = $1`, [id(3)]);
    await sync.query(`${rename} WHERE id_epsa = $1`, [id(4)]);
    await rig.mark(id(4));
    await rig.project();
    await sync.query('DELETE FROM epsa_sync.outbox WHERE id = $1', [id(4)]);
    await sync.query(`${rename} WHERE id_epsa = $1`, [id(5)]);
    // A root that went without a mark.
    await sync.query('DELETE FROM epsa.epsa WHERE id_epsa = $1', [id(6)]);
    // Dead letters: one lacks a field, two were refused; the second of those was set aside.
    const { rows } = await sync.query<{ id: string; row: string }>(
      `UPDATE epsa.requerimiento_desarrollo AS r SET descripcion = NULL FROM (
         SELECT id_epsa, min(id_requerimiento_desarrollo) AS first FROM epsa.requerimiento_desarrollo
         WHERE id_epsa > 1610 GROUP BY id_epsa ORDER BY id_epsa LIMIT 1) AS one
       WHERE r.id_requerimiento_desarrollo = one.first RETURNING r.id_epsa::text AS id, one.first::text AS row`,
    );
    const lacking = rows[0]!;
    const refused = id(7);
    const setAside = id(8);
    await sync.query(`${rename} WHERE id_epsa = ANY ($1)`, [[refused, setAside]]);
    await rig.mark(lacking.id, refused, setAside);
    await rig.project();
    await sync.query('DELETE FROM epsa_sync.outbox WHERE id = ANY ($1)', [[refused, setAside]]);
    await sync.query(
      `INSERT INTO epsa_sync.dead_letter (id, epoch, version, reason, path, detail, discarded_at)
       SELECT id, epoch, version, 'refused', 'informacion_general.nombre', '{"reason":"too new"}',
         CASE WHEN id = $2 THEN now() END FROM epsa_sync.document WHERE id = ANY ($1)`,
      [[refused, setAside], setAside],
    );

    const comparison = rig.comparison();
    const { candidates, proven, ranges } = await scanAll(comparison);
    const wanted = [...[0, 1, 2, 3, 4, 5, 6].map(id), refused, lacking.id, '999', 'abc', '01603'].sort();
    assert.deepEqual([...candidates.keys()].sort(), wanted);
    assert.deepEqual(
      [...candidates.values()].filter(({ pending }) => pending),
      [],
    );
    assert.equal(proven.length, 40 - 9 - 1, 'what was set aside is no difference, and not proven either');
    assert.ok(!proven.includes(setAside));
    assert.deepEqual(
      ranges.flatMap((range) => range.setAside ?? []),
      [setAside],
    );
    const wasPending = { ...candidates.get(refused)!, key: setAside, pending: true };
    assert.deepEqual(
      (await comparison.look([wasPending])).map((one) => [one.key, one.setAside]),
      [[setAside, true]],
      'nor is it when it was on its way at first',
    );

    const looked = await comparison.look([...candidates.values()]);
    assert.deepEqual(new Map(looked.map((one) => [one.key, one])), candidates, 'the second look finds the same pairs');

    const described = await comparison.describe(looked);
    const told = (key: string) => {
      const { kind, wrong, path, expected, actual } = described.get(key)!;
      return { kind, wrong, path, expected, actual };
    };
    const { rows: names } = await sync.query<{ name: string }>(
      'SELECT to_json(nombre_epsa)::text AS name FROM epsa.epsa WHERE id_epsa = ANY ($1) ORDER BY id_epsa',
      [[id(0), id(1)]],
    );
    const name = 'informacion_general.nombre';
    const document = { kind: 'document', wrong: 'fastaaps' };
    assert.deepEqual(told(id(0)), { ...document, path: name, expected: names[0]!.name, actual: '"edited"' });
    const gone = told(id(1));
    assert.deepEqual({ ...gone, expected: '' }, { ...document, path: null, expected: '', actual: null });
    assert.match(gone.expected!, /^\{"informacion_general":\{"id_siirays":1602,/);
    for (const key of ['999', 'abc', '01603']) {
      assert.deepEqual(told(key), { ...document, path: null, expected: null, actual: '{"a":1}' });
    }
    const etag = told(id(2));
    assert.deepEqual([etag.kind, etag.wrong, etag.path], ['document', 'sync', null]);
    assert.equal(JSON.parse(etag.actual!).etag, 'another');
    const hash = told(id(3));
    assert.deepEqual([hash.kind, hash.wrong, hash.path, hash.actual], ['projection', 'sync', null, '"00"']);
    const undelivered = told(id(4));
    assert.deepEqual(
      [undelivered.kind, undelivered.wrong, undelivered.path, undelivered.expected],
      ['undelivered', 'sync', name, '"new"'],
    );
    const unmarked = told(id(5));
    assert.deepEqual(
      [unmarked.kind, unmarked.wrong, unmarked.path, unmarked.expected],
      ['projection', 'sync', name, '"new"'],
    );
    assert.deepEqual(
      [told(id(6)).kind, told(id(6)).wrong, told(id(6)).path, told(id(6)).expected],
      ['projection', 'sync', null, null],
    );
    const letter = described.get(refused)! as { reason?: string | null } & ReturnType<typeof told>;
    assert.deepEqual(
      [letter.kind, letter.wrong, letter.path, letter.expected, letter.reason],
      ['dead_letter', 'fastaaps', name, '"new"', 'too new'],
    );
    const path = described.get(lacking.id)!.path!;
    assert.match(path, /^requerimiento_desarrollo\[\d+\]\.descripcion$/);
    assert.equal(described.get(lacking.id)!.kind, 'dead_letter');
    assert.equal(described.get(lacking.id)!.expected, null);
    for (const [key, { documents, since }] of described) {
      assert.deepEqual(documents, [key]);
      assert.match(since!, /^\d+$/, key);
    }

    assert.deepEqual(await markUnlessSetAside(rig.syncUrl, 'epsa_sync', [setAside, refused]), [setAside]);
    assert.deepEqual((await sync.query('DELETE FROM epsa_sync.mark RETURNING id, forced')).rows, [
      { id: refused, forced: true },
    ]);
    const left = await comparison.repair(looked);
    assert.deepEqual([...left.keys()].sort(), ['01603', lacking.id, 'abc']);
    assert.equal(left.get(lacking.id), `still lacks ${path}`);
    const marks = await sync.query<{ id: string; forced: boolean }>('SELECT id, forced FROM epsa_sync.mark');
    assert.deepEqual(
      marks.rows.map((row) => row.id).sort(),
      wanted.filter((key) => !left.has(key)),
    );
    assert.ok(marks.rows.every(({ forced }) => forced));
    await comparison.repair(looked);
    const pending = await comparison.look(looked);
    assert.deepEqual(
      pending.filter((one) => !one.pending).map(({ key }) => key),
      ['01603', lacking.id, 'abc'],
    );

    await rig.deliver();
    const after = await scanAll(rig.comparison());
    assert.deepEqual([...after.candidates.keys()], ['01603', lacking.id, 'abc']);
    await sync.query(
      'UPDATE epsa.requerimiento_desarrollo SET descripcion = $1 WHERE id_requerimiento_desarrollo = $2',
      ['there again', lacking.row],
    );
    await rig.mark(lacking.id);
    await fastaapsDatabase.query(`DELETE FROM document WHERE id IN ('abc', '01603')`);
    await rig.deliver();
    assert.deepEqual([...(await scanAll(rig.comparison())).candidates], []);
  });

  test('what is on its way is pending, and equal once it has arrived', async () => {
    const rig = await DocumentsRig.start({ epsas: 5, adapter: 'changes' });
    const comparison = rig.comparison();
    await rig.mark(id(0));
    await rig.sync.query(`UPDATE epsa.epsa SET nombre_epsa = 'n' WHERE id_epsa IN (1602, 1603)`);
    await rig.mark(id(1));
    const marked = await scanAll(comparison);
    assert.deepEqual(
      [...marked.candidates.values()].map(({ key, pending }) => [key, pending]),
      [
        [id(0), true],
        [id(1), true],
        [id(2), false],
      ],
    );
    await rig.mark(id(2));
    await rig.project();
    const projected = await comparison.look([...marked.candidates.values()]);
    assert.deepEqual(
      projected.map(({ key, pending }) => [key, pending]),
      [
        [id(1), true],
        [id(2), true],
      ],
      'the first one came out equal',
    );
    for (const { key, pair } of projected) assert.notEqual(pair, marked.candidates.get(key)!.pair);
    await rig.deliver();
    assert.deepEqual(await comparison.look(projected), []);
    assert.deepEqual(await comparison.describe(projected), new Map());
  });

  test('a deleted document is equal to a tombstone and to nothing, a lost one is not', async () => {
    const rig = await DocumentsRig.start({ epsas: 5, adapter: 'changes' });
    await rig.sync.query('DELETE FROM epsa.epsa WHERE id_epsa IN (1601, 1602)');
    await rig.mark(id(0), id(1));
    await rig.deliver();
    await rig.fastaapsDatabase.query('DELETE FROM document WHERE id = $1', [id(0)]);
    assert.deepEqual([...(await scanAll(rig.comparison())).candidates], []);
    // The etag is lost with the document: no side says that there is one, but the projection does.
    await rig.sync.query('UPDATE epsa_sync.document SET etag = NULL WHERE id = $1', [id(2)]);
    await rig.fastaapsDatabase.query('DELETE FROM document WHERE id = $1', [id(2)]);
    assert.deepEqual(
      [...(await scanAll(rig.comparison())).candidates.values()].map(({ key, kind }) => [key, kind]),
      [[id(2), 'document']],
    );
  });

  test('a replica that is swapped in meanwhile is waited for, not taken for empty', async () => {
    const rig = await DocumentsRig.start({ epsas: 5, adapter: 'changes' });
    const { sync } = rig;
    await sync.query(
      `BEGIN; CREATE TABLE epsa_staging.epsa (LIKE epsa.epsa INCLUDING ALL); INSERT INTO epsa_staging.epsa SELECT * FROM epsa.epsa;
       DROP TABLE epsa.epsa; ALTER TABLE epsa_staging.epsa SET SCHEMA epsa`,
    );
    const session = new ReplicaSession(rig);
    after(() => session.close());
    const count = session.snapshot(async (client) => {
      const { rows } = await client.query<{ epsas: number }>('SELECT count(*)::int AS epsas FROM epsa.epsa');
      return rows[0]!.epsas;
    });
    const scanned = scanAll(rig.comparison());
    const seen = new Set<string>();
    await until(async () => seen.add(await rig.untilWaiting('a wait for the swap')).size > 4, 'more than one attempt');
    await sync.query('COMMIT');
    assert.equal(await count, 5);
    const { candidates, proven } = await scanned;
    assert.deepEqual([...candidates], []);
    assert.equal(proven.length, 5);
  });

  test('marks of an open transaction of the consumer are waited for, and it is never ended for them', async () => {
    const rig = await DocumentsRig.start({ epsas: 5, adapter: 'changes' });
    const { sync } = rig;
    await rig.fastaapsDatabase.query('DELETE FROM document');
    const comparison = rig.comparison();
    const { candidates } = await scanAll(comparison);
    const { rows } = await sync.query<{ name: string }>('SELECT current_database() AS name');
    // The consumer would be the first to notice a deadlock, and be ended for it.
    const owner = await connect({ connectionString: rig.syncUrl });
    await owner.query(`ALTER DATABASE "${rows[0]!.name}" SET deadlock_timeout = '10min'`);
    await disconnect(owner);
    await sync.query(`SET deadlock_timeout = '3s'; BEGIN; INSERT INTO epsa_sync.mark (id) VALUES ('${id(4)}')`);
    const repairing = rig.comparison().repair([...candidates.values()]);
    await rig.untilWaiting('the repair to wait for the consumer');
    await sync.query(`INSERT INTO epsa_sync.mark (id) VALUES ('${id(0)}'); COMMIT`);
    assert.deepEqual(await repairing, new Map());
    const marks = await sync.query('SELECT FROM epsa_sync.mark WHERE forced');
    assert.equal(marks.rows.length, 5);
  });

  test('ends with the reason of its signal', async () => {
    const rig = await DocumentsRig.start({ epsas: 5, adapter: 'changes' });
    const aborting = new AbortController();
    const scan = rig.comparison().scan(null, aborting.signal);
    await scan.next();
    aborting.abort(new Error('cancelled by a test'));
    await assert.rejects(scan.next(), /cancelled by a test/);
    await assert.rejects(rig.comparison().scan(null, aborting.signal).next(), /cancelled by a test/);
  });
});
