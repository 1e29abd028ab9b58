/** Every kind of change in SIIRAyS arrives whole in FASTAAPS and in the replica. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { RunningPipeline } from '../support/running-pipeline.ts';
import { until } from '../support/until.ts';

const pipeline = await RunningPipeline.start();
const { siirays } = pipeline;

const LONG = 'ñ😀'.repeat(6_000);

/** What each test does to SIIRAyS: one transaction, or several. */
const OPERATIONS: Record<string, string> = {
  'an insert over many tables': `BEGIN;
    INSERT INTO epsa (id_epsa, nombre_epsa, sigla_epsa) VALUES (900001, 'Cooperativa "La Ñusta" \\ 😀', '');
    INSERT INTO representante VALUES (900001, 900001, 'Ana', NULL, '', ' 0 ', 'a@b.bo', NULL, 987654);
    INSERT INTO problemas_contaminacion VALUES (900001, 900001, 'uno'), (900002, 900001, 'dos');
    INSERT INTO informacion_tecnica (id_informacion_tecnica, id_epsa, numero_conexiones_ap) VALUES (900001, 900001, 'NaN');
    INSERT INTO instalacion_fuente_financiamiento VALUES (900001, 1, 1, 1, 2, 3, 4), (900001, 1, 1, 1, 2, 3, 4);
    COMMIT`,
  'an update of rows, with a NULL and an empty text': `UPDATE epsa SET sigla_epsa = NULL, fax = '' WHERE id_epsa = 900001`,
  'a deletion of one of two rows where one is shown': `DELETE FROM problemas_contaminacion WHERE id_problemas_contaminacion = 900002`,
  'a change of a key': `UPDATE representante SET id_representante = 900009 WHERE id_representante = 900001`,
  'a move of a row to another EPSA': `UPDATE representante SET id_epsa = (SELECT min(id_epsa) FROM epsa) WHERE id_representante = 900009`,
  'a change of the root key': `UPDATE epsa SET id_epsa = 900005 WHERE id_epsa = 900001`,
  'a catalogue row that many documents show': `UPDATE localidad SET localidad = localidad || ' *' WHERE id_localidad % 2 = 0`,
  'a missing catalogue row that comes': `INSERT INTO tipo_contacto VALUES (987654, 'Tipo nuevo')`,
  'a catalogue row that goes': `DELETE FROM tipo_contacto WHERE id_tipo_contacto = 987654`,
  'deletion and re-insertion of an EPSA in one transaction': `BEGIN;
    CREATE TEMP TABLE vieja ON COMMIT DROP AS SELECT * FROM epsa WHERE id_epsa = 900005;
    DELETE FROM epsa WHERE id_epsa = 900005;
    INSERT INTO epsa SELECT * FROM vieja;
    UPDATE epsa SET nombre_epsa = 'Otra vez' WHERE id_epsa = 900005;
    COMMIT`,
  'a rollback': `BEGIN; DELETE FROM epsa; DELETE FROM localidad; ROLLBACK`,
  'a savepoint that is given up': `BEGIN;
    UPDATE epsa SET web = 'http://uno' WHERE id_epsa = 900005;
    SAVEPOINT s; UPDATE epsa SET web = 'http://dos'; ROLLBACK TO s;
    UPDATE epsa SET correo_electronico = 'x@y' WHERE id_epsa = 900005;
    COMMIT`,
  'a long text': `UPDATE epsa SET observacion = '${LONG}' WHERE id_epsa = 900005`,
  'another column beside an unchanged TOASTed text': `UPDATE epsa SET fax = '77' WHERE id_epsa = 900005`,
  'the key of a row with an unchanged TOASTed text': `UPDATE epsa SET id_epsa = 900006 WHERE id_epsa = 900005`,
  'rows of a table without a key': `BEGIN;
    UPDATE instalacion_fuente_financiamiento SET porcentaje_credito = porcentaje_credito + 1
     WHERE ctid IN (SELECT ctid FROM instalacion_fuente_financiamiento LIMIT 5);
    DELETE FROM instalacion_fuente_financiamiento WHERE ctid IN (SELECT max(ctid) FROM instalacion_fuente_financiamiento);
    INSERT INTO instalacion_fuente_financiamiento SELECT * FROM instalacion_fuente_financiamiento LIMIT 3;
    COMMIT`,
  'many transactions of one row, one after another': Array.from(
    { length: 200 },
    (_, i) => `UPDATE epsa SET telefonos = '${i}' WHERE id_epsa = 900006`,
  ).join(';'),
  'TRUNCATE of a section, a catalogue and a table without a key, and rows after it': `BEGIN;
    TRUNCATE ingresos, sector, instalacion_fuente_financiamiento;
    INSERT INTO sector VALUES (1, 'nuevo');
    COMMIT`,
  'a deletion of an EPSA': `DELETE FROM epsa WHERE id_epsa = 900006`,
};

describe('changes in SIIRAyS', { timeout: 280_000 }, () => {
  before(() => pipeline.assertEqual('the first load'));

  for (const [name, sql] of Object.entries(OPERATIONS)) {
    test(name, async () => {
      await siirays.query(sql);
      await pipeline.assertEqual(name);
    });
  }

  test('a document without a required field is a dead letter; it keeps its last version, and the rest goes on', async () => {
    const { rows } = await siirays.query<{ id: string }>(
      `SELECT min(s.id_requerimiento_desarrollo) AS id FROM requerimiento_desarrollo s JOIN epsa e USING (id_epsa)
        WHERE s.descripcion IS NOT NULL AND s.id_epsa::text <> ALL ($1)`,
      [await pipeline.deadLetters()],
    );
    const row = rows[0]!.id;
    const { rows: owner } = await siirays.query<{ id: string }>(
      `UPDATE requerimiento_desarrollo SET descripcion = NULL WHERE id_requerimiento_desarrollo = $1 RETURNING id_epsa AS id`,
      [row],
    );
    const id = owner[0]!.id;
    const before_ = (await pipeline.shown()).documents.get(id);
    const shown = await pipeline.assertEqual('the dead letter');
    assert.equal(shown.documents.get(id), before_);
    const { rows: letters } = await pipeline.sync.query(
      `SELECT path, reason FROM epsa_sync.dead_letter WHERE id = $1`,
      [id],
    );
    assert.match(letters[0].path, /^requerimiento_desarrollo\[\d+\]\.descripcion$/);
    await siirays.query(
      `UPDATE requerimiento_desarrollo SET descripcion = 'otra' WHERE id_requerimiento_desarrollo = $1`,
      [row],
    );
    const mended = await pipeline.assertEqual('the mended document');
    assert.match(mended.documents.get(id)!, /"otra"/);
  });

  test('topics read again change nothing', async () => {
    const { stack, sync } = pipeline;
    const versions = async () =>
      (await sync.query('SELECT id, epoch, version FROM epsa_sync.document ORDER BY id')).rows;
    const stood = await versions();
    const rows = await sync.query<{ seq: string }>('SELECT seq FROM epsa_sync.checkpoint');
    await stack.part('consumer').stop();
    // Back to the topics' beginning, as after a restored offset store: every unit comes again below our seq.
    await sync.query(
      `UPDATE epsa_sync.checkpoint SET offsets = (SELECT jsonb_object_agg(key, '0') FROM jsonb_each(offsets))`,
    );
    await stack.start('consumer');
    await siirays.query(`UPDATE sector SET sector = sector`);
    await until(
      async () => {
        const { rows: now } = await sync.query<{ seq: string }>('SELECT seq FROM epsa_sync.checkpoint');
        return BigInt(now[0]!.seq) > BigInt(rows.rows[0]!.seq);
      },
      'the consumer to go on',
      30_000,
    );
    assert.deepEqual(await versions(), stood);
    await pipeline.assertEqual('after reading again');
  });
});
