/** Every kind of fault on our side or in FASTAAPS is found, named at the right side, and repaired through the stream. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import pg from 'pg';
import { RunningPipeline } from '../support/running-pipeline.ts';
import { until } from '../support/until.ts';
import { ReconcilerClient } from './reconciler-client.ts';

const OFF = { RECONCILE_SCHEDULE: 'off', RECONCILE_DIRECT_SCHEDULE: 'off' };
const pipeline = await RunningPipeline.start({ without: [], settings: { reconciler: OFF } });
const { stack, siirays, sync } = pipeline;
const client = new ReconcilerClient(stack.endpoints);
const fastaaps = new pg.Pool({ connectionString: stack.endpoints.fastaapsDatabase, max: 1 });
fastaaps.on('error', () => undefined);
after(() => fastaaps.end());

/** Documents that lack a required field: dead letters from the beginning, differences for ever. */
const DEAD = (await pipeline.deadLetters()).sort();

/** What a fault looks like in the report. */
interface Expected {
  kind: string;
  wrong: string;
  table?: string;
  /** Ids of documents that must be named. */
  documents?: string[];
  path?: string | RegExp;
}

interface Fault {
  plant(): Promise<unknown>;
  expected: Expected[];
}

const inSync = (sql: string) => () => sync.query(sql);
const inFastaaps = (sql: string) => () => fastaaps.query(sql);

/** EPSAs whose documents are whole and that each fault has for itself. */
const whole = (
  await siirays.query<{ id: string }>(
    'SELECT id_epsa::text AS id FROM epsa WHERE id_epsa::text <> ALL ($1) ORDER BY id_epsa',
    [DEAD],
  )
).rows.map(({ id }) => id);
const id = (n: number): string => whole[n]!;
const LIVE = `collection = 'registro' AND db_tag = 'sync'`;

const FAULTS: Record<string, Fault> = {
  'a document edited in FASTAAPS': {
    plant: inFastaaps(
      `UPDATE document SET document = jsonb_set(document, '{informacion_general,nombre}', '"otro"') WHERE ${LIVE} AND id = '${id(0)}'`,
    ),
    expected: [{ kind: 'document', wrong: 'fastaaps', documents: [id(0)], path: 'informacion_general.nombre' }],
  },
  'a document deleted in FASTAAPS': {
    plant: inFastaaps(`DELETE FROM document WHERE ${LIVE} AND id = '${id(1)}'`),
    expected: [{ kind: 'document', wrong: 'fastaaps', documents: [id(1)] }],
  },
  'a document added in FASTAAPS, with a version above ours': {
    plant: inFastaaps(
      `INSERT INTO document (collection, db_tag, id, epoch, version, document)
       SELECT collection, db_tag, '777777', epoch, version + 1000000, document FROM document WHERE ${LIVE} AND id = '${id(2)}'`,
    ),
    expected: [{ kind: 'document', wrong: 'fastaaps', documents: ['777777'] }],
  },
  'a wrong etag': {
    plant: inSync(`UPDATE epsa_sync.document SET etag = 'x' WHERE id = '${id(3)}'`),
    expected: [{ kind: 'document', wrong: 'sync', documents: [id(3)] }],
  },
  'a wrong hash': {
    plant: inSync(`UPDATE epsa_sync.document SET hash = '\\x00' WHERE id = '${id(4)}'`),
    expected: [{ kind: 'projection', wrong: 'sync', documents: [id(4)] }],
  },
  'a replica row edited': {
    plant: inSync(`UPDATE epsa.epsa SET nombre_epsa = 'cambiada aquí' WHERE id_epsa = ${id(5)}`),
    expected: [{ kind: 'row', wrong: 'replica', table: 'public.epsa', documents: [id(5)], path: 'nombre_epsa' }],
  },
  'a replica row deleted, in a table with a key of two columns': {
    plant: inSync(`DELETE FROM epsa.ubicacion WHERE ctid = (SELECT min(ctid) FROM epsa.ubicacion)`),
    expected: [{ kind: 'row', wrong: 'replica', table: 'public.ubicacion' }],
  },
  'a replica row added': {
    plant: inSync(`INSERT INTO epsa.ingresos (id_ingresos, id_epsa) VALUES (99999999, ${id(6)})`),
    expected: [{ kind: 'row', wrong: 'replica', table: 'public.ingresos', documents: [id(6)] }],
  },
  'a catalogue row edited': {
    plant: inSync(
      `UPDATE epsa.localidad SET localidad = localidad || '?' WHERE ctid = (SELECT min(ctid) FROM epsa.localidad)`,
    ),
    expected: [{ kind: 'row', wrong: 'replica', table: 'public.localidad', path: 'localidad' }],
  },
  'a row that no document shows': {
    plant: inSync(`INSERT INTO epsa.representante (id_representante, id_epsa) VALUES (99999999, 99999999)`),
    expected: [{ kind: 'row', wrong: 'replica', table: 'public.representante', documents: [] }],
  },
  'rows of a table without a key': {
    plant: async () => {
      const { rows } = await sync.query<{ name: string }>(
        `SELECT attname AS name FROM pg_attribute WHERE attrelid = 'epsa.instalacion_fuente_financiamiento'::regclass AND attname LIKE '%\\_count'`,
      );
      await sync.query(
        `DELETE FROM epsa.instalacion_fuente_financiamiento WHERE ctid = (SELECT max(ctid) FROM epsa.instalacion_fuente_financiamiento)`,
      );
      await sync.query(
        `UPDATE epsa.instalacion_fuente_financiamiento SET "${rows[0]!.name}" = 3 WHERE ctid = (SELECT min(ctid) FROM epsa.instalacion_fuente_financiamiento)`,
      );
    },
    expected: [
      { kind: 'row', wrong: 'replica', table: 'public.instalacion_fuente_financiamiento' },
      { kind: 'row', wrong: 'replica', table: 'public.instalacion_fuente_financiamiento' },
    ],
  },
  'a row of the outbox that was lost': {
    plant: async () => {
      await stack.part('fastaaps').stop();
      await siirays.query(`UPDATE epsa SET fax = 'perdido' WHERE id_epsa = ${id(7)}`);
      const lose = `DELETE FROM epsa_sync.outbox WHERE id = '${id(7)}' RETURNING id`;
      await until(async () => (await sync.query(lose)).rows.length > 0, 'the row to lose');
      await stack.start('fastaaps');
    },
    expected: [{ kind: 'undelivered', wrong: 'sync', documents: [id(7)], path: 'informacion_general.fax' }],
  },
  'a dead letter whose cause is gone': {
    plant: inSync(
      `INSERT INTO epsa_sync.dead_letter (id, epoch, version, reason, path) SELECT id, epoch, version, 'refused', 'web' FROM epsa_sync.document WHERE id = '${id(8)}'`,
    ),
    expected: [{ kind: 'dead_letter', wrong: 'fastaaps', documents: [id(8)] }],
  },
};

function assertNamed(
  differences: readonly Awaited<ReturnType<ReconcilerClient['differences']>>[number][],
  expected: Expected[],
): void {
  const open = differences.filter(({ kind, documents }) => kind !== 'dead_letter' || !DEAD.includes(documents[0]!));
  for (const want of expected) {
    const at = open.findIndex(
      (difference) =>
        difference.kind === want.kind &&
        difference.wrong === want.wrong &&
        (want.table === undefined || difference.table === want.table) &&
        (want.documents === undefined || String(difference.documents) === String(want.documents)) &&
        (want.path === undefined || difference.path === want.path),
    );
    assert.notEqual(at, -1, `${JSON.stringify(want)} is not among ${JSON.stringify(open, null, 1)}`);
    open.splice(at, 1);
  }
  assert.deepEqual(open, [], 'nothing else differs');
}

describe('planted faults', { timeout: 280_000 }, () => {
  test('nothing but the dead letters differs at first', async () => {
    const run = await client.reconcile({ mode: 'verify' });
    assert.deepEqual(run.notes, []);
    assert.equal(run.found.dead_letter ?? 0, DEAD.length);
    assertNamed(run.differences, []);
  });

  for (const [name, { plant, expected }] of Object.entries(FAULTS)) {
    test(name, async () => {
      await plant();
      const verified = await client.reconcile({ mode: 'verify' });
      assertNamed(verified.differences, expected);
      const repaired = await client.reconcile({});
      assert.equal(repaired.error, null);
      const open = repaired.differences.filter(({ outcome }) => outcome !== 'repaired');
      assert.deepEqual(open.map(({ documents }) => documents[0]).sort(), DEAD, 'all but the dead letters is repaired');
      await pipeline.assertEqual(name);
    });
  }

  test('changes of a table that was out of the publication never reached the stream: it is read again by itself', async () => {
    await stack.part('producer').stop();
    await siirays.query('ALTER PUBLICATION siirays_sync DROP TABLE tecnica_tuberia');
    await siirays.query(`DELETE FROM tecnica_tuberia WHERE ctid = (SELECT max(ctid) FROM tecnica_tuberia)`);
    await siirays.query(
      `UPDATE tecnica_tuberia SET longitud_total = longitud_total + 1 WHERE ctid = (SELECT min(ctid) FROM tecnica_tuberia)`,
    );
    await siirays.query('ALTER PUBLICATION siirays_sync ADD TABLE tecnica_tuberia');
    await stack.start('producer');
    // Nothing in the stream tells of it: the producer sees it when it looks.
    const equal = () => pipeline.assertEqual('the table that was away').catch(() => null);
    await until(equal, 'the table to be read again', 60_000);
    const run = await client.reconcile({ mode: 'verify' });
    assertNamed(run.differences, []);
  });

  test('repairs move SIIRAyS and FASTAAPS only through the stream: a second run has nothing to do', async () => {
    const { rows } = await sync.query<{ version: string }>(
      'SELECT last_value::text AS version FROM epsa_sync.outbox_version',
    );
    const run = await client.reconcile({});
    assert.deepEqual(run.repaired, {});
    const after = await sync.query<{ version: string }>(
      'SELECT last_value::text AS version FROM epsa_sync.outbox_version',
    );
    assert.equal(after.rows[0]!.version, rows[0]!.version, 'no document was made anew');
  });

  test('the direct comparison finds what FASTAAPS holds otherwise, without Kafka', async () => {
    await fastaaps.query(
      `UPDATE document SET document = jsonb_set(document, '{informacion_general,web}', '"directo"') WHERE ${LIVE} AND id = '${id(9)}'`,
    );
    const verified = await client.reconcile({ mode: 'verify', direct: true });
    assertNamed(verified.differences, [
      { kind: 'document', wrong: 'fastaaps', documents: [id(9)], path: 'informacion_general.web' },
    ]);
    const repaired = await client.reconcile({ direct: true });
    assert.deepEqual(repaired.repaired, { document: 1 });
    await pipeline.assertEqual('after a direct repair');
  });

  test('a connector that is paused changes nothing in FASTAAPS until it is resumed', async () => {
    assert.equal((await client.call('POST', '/connectors/epsa/pause')).status, 200);
    const ready = `http://127.0.0.1:${stack.ports.consumer}/readyz`;
    await until(async () => (await fetch(ready)).status === 503, 'the consumer to stand still');
    const { lsn } = await pipeline.shown();
    await siirays.query(`UPDATE epsa SET fax = 'en pausa' WHERE id_epsa = ${id(10)}`);
    const asked = await client.call('GET', '/positions/current/0%2FFFFFFFFF?timeout=2');
    assert.equal(asked.status >= 400, true, 'FASTAAPS does not come along');
    assert.equal((await pipeline.shown()).lsn, lsn);
    assert.equal((await client.call('POST', '/connectors/epsa/resume')).status, 200);
    await pipeline.assertEqual('after the pause');
  });
});
