/** SIIRAyS's tables change under the running pipeline: what can be followed is, what cannot stops before it and says why. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { request } from 'undici';
import { connect, disconnect } from '../../src/postgres/session.ts';
import { RunningPipeline } from '../support/running-pipeline.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const connectors = tempDir('connectors');
cpSync('connectors', connectors.path, { recursive: true });
const FAST = { RETRY_MIN: '50ms', RETRY_MAX: '500ms' };
/** What the pipeline's processes have said since it was last looked at. */
const log: string[] = [];
const pipeline = await RunningPipeline.start({
  epsas: 40,
  connectorsDir: connectors.path,
  settings: { producer: FAST, consumer: FAST },
  onLog: (_, line) => log.push(line),
});
const { siirays, stack, sync } = pipeline;

const GRANT = 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO siirays_sync';
const ADD = 'ALTER PUBLICATION siirays_sync ADD TABLE';
const OUT = 'ALTER PUBLICATION siirays_sync DROP TABLE';

/** What is done to SIIRAyS, each list one after the other while other transactions go on; documents then are equal. */
const FOLLOWED: Record<string, string[]> = {
  'columns that come, with and without a default, and change their names': [
    `ALTER TABLE epsa ADD COLUMN nota text, ADD COLUMN nivel integer DEFAULT 7; ALTER TABLE sector ADD COLUMN a text DEFAULT 'x'`,
    `ALTER TABLE epsa RENAME COLUMN nota TO apunte; UPDATE epsa SET apunte = 'ñ' WHERE id_epsa % 2 = 0`,
  ],
  'columns that go, and one that comes back under its name': [
    `ALTER TABLE epsa DROP COLUMN apunte; ALTER TABLE sector DROP COLUMN a, ADD COLUMN a text DEFAULT 'y'`,
    `UPDATE epsa SET fax = '1' WHERE id_epsa % 3 = 0`,
  ],
  'types that change, with all values, also to the same type': [
    `ALTER TABLE epsa ALTER COLUMN telefonos TYPE text USING upper(telefonos) || '!', ALTER COLUMN nivel TYPE numeric(9, 2)`,
    `ALTER TABLE sector ALTER COLUMN sector TYPE varchar(80) USING 'S ' || left(sector, 70)`,
  ],
  'a table that is dropped and created again, with other rows': [
    `BEGIN; CREATE TEMP TABLE vieja ON COMMIT DROP AS SELECT * FROM tipo_contacto; DROP TABLE tipo_contacto;
     CREATE TABLE tipo_contacto (id_tipo_contacto integer PRIMARY KEY, tipo_contacto varchar(60));
     INSERT INTO tipo_contacto SELECT id_tipo_contacto, tipo_contacto || ' *' FROM vieja WHERE id_tipo_contacto > 1;
     ${ADD} tipo_contacto; ${GRANT}; COMMIT`,
  ],
  'another table under the name of one that was renamed': [
    `BEGIN; ALTER TABLE rar RENAME TO rar_vieja; CREATE TABLE rar (LIKE rar_vieja INCLUDING ALL);
     INSERT INTO rar SELECT * FROM rar_vieja WHERE id_rar % 2 = 0; ${OUT} rar_vieja; ${ADD} rar; ${GRANT};
     DROP TABLE rar_vieja; COMMIT`,
  ],
  'a primary key that changes, and other replica identities': [
    `ALTER TABLE problemas_contaminacion DROP CONSTRAINT problemas_contaminacion_pkey,
       ADD PRIMARY KEY (id_epsa, id_problemas_contaminacion)`,
    `UPDATE problemas_contaminacion SET descripcion = 'otra' WHERE id_problemas_contaminacion % 2 = 0`,
    `ALTER TABLE localidad REPLICA IDENTITY FULL; UPDATE localidad SET localidad = localidad || '.';
     ALTER TABLE entidad ADD COLUMN codigo integer; UPDATE entidad SET codigo = 1000 - id_entidad;
     ALTER TABLE entidad ALTER COLUMN codigo SET NOT NULL; CREATE UNIQUE INDEX por_codigo ON entidad (codigo);
     ALTER TABLE entidad REPLICA IDENTITY USING INDEX por_codigo; UPDATE entidad SET fax = 'x', codigo = -codigo`,
    `ALTER TABLE sector REPLICA IDENTITY NOTHING; INSERT INTO sector VALUES (900, 'uno')`,
    `ALTER TABLE sector REPLICA IDENTITY DEFAULT; UPDATE sector SET sector = sector || '-'`,
  ],
  'a table that loses its key': [
    `ALTER TABLE material_tuberia REPLICA IDENTITY FULL; ALTER TABLE material_tuberia DROP CONSTRAINT material_tuberia_pkey;
     INSERT INTO funcionarios SELECT * FROM funcionarios WHERE false;
     UPDATE material_tuberia SET material_tuberia = material_tuberia || '.'`,
  ],
  'a table that becomes partitioned, and partitions that come and go with their rows': [
    `BEGIN; CREATE SCHEMA IF NOT EXISTS partes; ALTER TABLE ingresos RENAME TO ingresos_viejos;
     CREATE TABLE ingresos (LIKE ingresos_viejos INCLUDING DEFAULTS, PRIMARY KEY (id_ingresos)) PARTITION BY RANGE (id_ingresos);
     CREATE TABLE partes.uno PARTITION OF ingresos FOR VALUES FROM (MINVALUE) TO (1000000);
     INSERT INTO ingresos SELECT * FROM ingresos_viejos; ${OUT} ingresos_viejos; DROP TABLE ingresos_viejos; ${ADD} ingresos;
     ALTER PUBLICATION siirays_sync SET (publish_via_partition_root = true); ${GRANT}; COMMIT`,
    `CREATE TABLE partes.dos (LIKE ingresos INCLUDING ALL);
     INSERT INTO partes.dos SELECT id_ingresos + 1000000, id_epsa, monto + 1, observacion, id_tipo_ingreso, id_periodo_pago FROM ingresos
       WHERE monto < 1000000 LIMIT 20;
     ALTER TABLE ingresos ATTACH PARTITION partes.dos FOR VALUES FROM (1000000) TO (3000000);
     UPDATE ingresos SET monto = monto + 1 WHERE id_ingresos % 2 = 0 AND monto < 1000000`,
    `ALTER TABLE ingresos DETACH PARTITION partes.dos; DROP TABLE partes.dos`,
  ],
  'a table that is out of the publication for a moment, while it changes': [
    `${OUT} localidad; UPDATE localidad SET municipio = 'fuera' WHERE id_localidad % 2 = 0;
     DELETE FROM localidad WHERE id_localidad % 7 = 0; ${ADD} localidad`,
  ],
};

/** What changes nothing that anyone holds: nothing is read again for it. */
const HARMLESS = [
  `ALTER TABLE epsa ALTER COLUMN fax SET DEFAULT '0', ADD COLUMN doble integer GENERATED ALWAYS AS (id_epsa * 2) VIRTUAL`,
  `INSERT INTO epsa (id_epsa, nombre_epsa) VALUES (900001, 'con el valor por omisión')`,
  `CREATE INDEX ON representante (id_epsa); ANALYZE representante; TRUNCATE requerimiento_desarrollo`,
];

async function metric(name: string): Promise<number> {
  const password = stack.environment('consumer').METRICS_PASSWORD;
  const answer = await request(`http://127.0.0.1:${stack.ports.consumer}/metrics`, {
    headers: { authorization: `Basic ${Buffer.from(`metrics:${password}`).toString('base64')}` },
  });
  const text = await answer.body.text();
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
}

/** Runs something while other transactions go on in SIIRAyS. */
async function underTraffic(work: () => Promise<void>): Promise<void> {
  const other = await connect({ connectionString: stack.endpoints.siirays });
  let going = true;
  const traffic = (async () => {
    for (let i = 0; going; i++) {
      await other.query(`BEGIN; UPDATE epsa SET web = 'http://${i}' WHERE id_epsa % 5 = ${i % 5};
        UPDATE representante SET cargo = 'c${i}' WHERE id_representante % 5 = ${i % 5}; COMMIT`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  try {
    await work();
  } finally {
    going = false;
    await traffic.finally(() => disconnect(other));
  }
}

/** What no event tells shows in the catalogue only, which is looked at once a second: until then there are differences. */
async function equalSoon(what: string): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      await pipeline.assertEqual(what);
      return;
    } catch (error) {
      if (!(error instanceof assert.AssertionError) || Date.now() > deadline) throw error;
    }
  }
}

/** Waits until the consumer says that its replica is frozen; returns why. */
async function stopped(pattern: RegExp): Promise<string> {
  const found = await until(
    async () => {
      const { rows } = await sync.query<{ reason: string | null }>(
        'SELECT request_reason AS reason FROM epsa_sync.checkpoint',
      );
      return rows[0]?.reason && pattern.test(rows[0].reason) ? rows[0].reason : null;
    },
    `the connector to stop: ${pattern}`,
    30_000,
  );
  return found!;
}

const said = (pattern: RegExp): Promise<boolean> =>
  until(() => log.splice(0).some((line) => pattern.test(line)), `the log to say ${pattern}`, 30_000);

describe('tables of SIIRAyS that change', { timeout: 400_000 }, () => {
  before(() => pipeline.assertEqual('the first load'));

  for (const [name, steps] of Object.entries(FOLLOWED)) {
    test(`are followed: ${name}`, async () => {
      for (const [i, sql] of steps.entries()) {
        await underTraffic(async () => {
          await siirays.query(sql);
        });
        if (i === steps.length - 1 || i % 2 === 1) await equalSoon(`${name} (${i})`);
      }
    });
  }

  test('keep a row whose key changes its text alone: 1 and 1.0 are one key', async () => {
    await siirays.query('ALTER TABLE periodo_pago ALTER COLUMN id_periodo_pago TYPE numeric');
    await equalSoon('with numeric keys');
    const rows = 'SELECT id_periodo_pago, periodo_pago FROM';
    await underTraffic(async () => {
      await siirays.query(`UPDATE periodo_pago SET id_periodo_pago = (id_periodo_pago || '.0')::numeric, periodo_pago = periodo_pago || '.';
        UPDATE periodo_pago SET id_periodo_pago = (id_periodo_pago || '0')::numeric WHERE id_periodo_pago > 1`);
    });
    const { rows: expected } = await siirays.query(`${rows} periodo_pago ORDER BY 1`);
    await until(
      async () => isDeepStrictEqual((await sync.query(`${rows} epsa.periodo_pago ORDER BY 1`)).rows, expected),
      'the replica to have the same texts',
      30_000,
    );
    await siirays.query('UPDATE periodo_pago SET id_periodo_pago = trim_scale(id_periodo_pago)');
    await pipeline.assertEqual('with the first texts again');
  });

  test('are not read again where nothing that anyone holds has changed', async () => {
    const before_ = await metric('siirays_sync_consumer_replica_frozen_total');
    for (const sql of HARMLESS) await underTraffic(async () => void (await siirays.query(sql)));
    await siirays.query('VACUUM FULL localidad');
    await siirays.query('ALTER TABLE epsa DROP COLUMN doble');
    await pipeline.assertEqual('harmless changes');
    assert.equal(await metric('siirays_sync_consumer_replica_frozen_total'), before_);
  });

  test('stop the connector where a column that it shows is gone, until that is back', async () => {
    const shown = await pipeline.assertEqual('before');
    await siirays.query(`ALTER TABLE localidad RENAME COLUMN municipio TO municipalidad;
      UPDATE localidad SET municipalidad = 'nuevo'; DELETE FROM representante`);
    await said(/connector_unfit.*localidad has no column municipio/);
    assert.deepEqual((await pipeline.shown()).documents, shown.documents, 'documents stay as they were');
    await siirays.query(`ALTER TABLE localidad RENAME COLUMN municipalidad TO municipio`);
    await equalSoon('with the column again');
  });

  test('stop it where a column gives the field no more', async () => {
    await siirays.query(`ALTER TABLE ingresos ALTER COLUMN monto TYPE text USING 'x' || monto`);
    await said(/connector_unfit.*monto.*is text: that is no number/);
    await siirays.query(`ALTER TABLE ingresos ALTER COLUMN monto TYPE numeric USING substr(monto, 2)::numeric`);
    await equalSoon('with numbers again');
  });

  test('stop it where a table is missing, also over a new start, until that is back', async () => {
    const shown = await pipeline.assertEqual('before');
    await siirays.query(`ALTER TABLE rar RENAME TO rar_ausente; ${OUT} rar_ausente`);
    await stopped(/public\.rar is no longer published.*ADD TABLE/);
    await siirays.query(`UPDATE epsa SET fax = 'entretanto'`);
    await stack.part('producer').stop();
    await stack.start('producer');
    await said(/source_lacks_tables.*public\.rar/);
    assert.deepEqual((await pipeline.shown()).documents, shown.documents);
    await siirays.query(`ALTER TABLE rar_ausente RENAME TO rar; DELETE FROM rar WHERE id_rar % 3 = 0; ${ADD} rar`);
    await equalSoon('with the table again');
  });

  test('stop it until the connector is another: it goes on with what its new file says', async () => {
    await siirays.query(`ALTER TABLE sector RENAME COLUMN sector TO nombre_sector`);
    await said(/connector_unfit.*no column sector/);
    const file = join(connectors.path, 'epsa.yaml');
    const text = readFileSync(file, 'utf8');
    assert.match(text, /sector\.sector/);
    writeFileSync(file, text.replaceAll('sector.sector', 'sector.nombre_sector'));
    await stack.part('consumer').stop();
    await stack.start('consumer');
    await siirays.query(`UPDATE sector SET nombre_sector = nombre_sector || '+' WHERE id_sector % 2 = 0`);
    await until(
      async () => [...(await pipeline.shown()).documents.values()].some((one) => /\+"/.test(one)),
      'the new name',
      30_000,
    );
    await siirays.query(`ALTER TABLE sector RENAME COLUMN nombre_sector TO sector`);
    writeFileSync(file, text);
    await said(/connector_unfit/);
    await stack.part('consumer').stop();
    await stack.start('consumer');
    await equalSoon('with the old file');
  });
});
