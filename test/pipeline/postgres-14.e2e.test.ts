/** The oldest PostgreSQL that is supported: it sends empty transactions, and knows no column lists. */
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../../embedded/tools.ts';
import { RunningPipeline } from '../support/running-pipeline.ts';

/** An optional package, since it is of one platform: the one that continuous integration has. */
const siiraysBinaries = join(ROOT, 'node_modules/postgres-14/native/bin');
const pipeline = await RunningPipeline.start({ siiraysBinaries, epsas: 60 });

test('SIIRAyS on PostgreSQL 14', { timeout: 120_000 }, async () => {
  await pipeline.assertEqual('the first load');
  await pipeline.siirays.query(
    `CREATE SCHEMA ajena; CREATE TABLE ajena.t (a int); INSERT INTO ajena.t SELECT generate_series(1, 100)`,
  );
  await pipeline.siirays.query(`BEGIN;
    UPDATE epsa SET observacion = repeat('ñ', 20000) WHERE id_epsa % 2 = 0;
    UPDATE epsa SET fax = 'uno' WHERE id_epsa % 2 = 0;
    UPDATE representante SET id_representante = id_representante + 500000;
    DELETE FROM instalacion_fuente_financiamiento WHERE ctid IN (SELECT ctid FROM instalacion_fuente_financiamiento LIMIT 9);
    TRUNCATE ingresos;
    COMMIT`);
  await pipeline.assertEqual('changes');
});
