import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { brokenEpsas, loadSample } from '../../../embedded/siirays/sample.ts';
import { sampleRows } from '../../../embedded/siirays/sample-rows.ts';
import { SECTIONS } from '../../../embedded/siirays/sample-sections.ts';
import { disconnect } from '../../../src/postgres/session.ts';
import {
  emptySiirays,
  fingerprint,
  lackingCatalogueTexts,
  lackingEpsas,
  number,
  openFundings,
  TABLES,
} from './siirays-database.ts';

const { client } = await emptySiirays();
const loaded = await loadSample(client, { epsas: 3000 });
after(() => disconnect(client));

describe('sample of 3,000 EPSAs', () => {
  it('has 3,000 EPSAs from 1601 on and about 135,000 rows, counted as they are', async () => {
    assert.ok(loaded.rows > 130_000 && loaded.rows < 140_000, String(loaded.rows));
    assert.deepEqual(Object.keys(loaded.tables).sort(), TABLES.map((table) => table.name).sort());
    for (const [table, count] of Object.entries(loaded.tables)) {
      assert.equal(await number(client, `SELECT count(*) FROM ${table}`), count, table);
    }
    assert.equal(loaded.tables.epsa, 3000);
    assert.equal(await number(client, 'SELECT min(id_epsa) FROM epsa'), 1601);
    assert.equal(await number(client, 'SELECT max(id_epsa) FROM epsa'), 4600);
  });

  it('names columns and types as the schema does', async () => {
    for (const table of TABLES) {
      const { rows } = await client.query<{ name: string; type: string }>(
        `SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
         WHERE attrelid = $1::regclass AND attnum > 0 ORDER BY attnum`,
        [table.name],
      );
      const stated = Object.entries(table.columns).map(([name, type]) => [
        name,
        type.replace('varchar', 'character varying'),
      ]);
      assert.deepEqual(
        rows.map((row) => [row.name, row.type]),
        stated,
        table.name,
      );
    }
  });

  const oddities: Record<string, string> = {
    'NULL in a text': 'SELECT count(*) FROM epsa WHERE sigla_epsa IS NULL',
    "''": "SELECT count(*) FROM epsa WHERE sigla_epsa = ''",
    blanks: "SELECT count(*) FROM epsa WHERE sigla_epsa ~ '^ +$'",
    'text that trimming would change': 'SELECT count(*) FROM epsa WHERE nombre_epsa <> trim(nombre_epsa)',
    zeros: 'SELECT count(*) FROM ingresos WHERE monto = 0',
    'orphans of an EPSA that is not': 'SELECT count(*) FROM ingresos i WHERE id_epsa NOT IN (SELECT id_epsa FROM epsa)',
    'orphans of no EPSA': 'SELECT count(*) FROM ingresos WHERE id_epsa IS NULL',
    'missing catalogue rows':
      'SELECT count(*) FROM representante WHERE id_rar IS NOT NULL AND id_rar NOT IN (SELECT id_rar FROM rar)',
    'several rows where one is expected':
      'SELECT count(*) FROM (SELECT FROM estatus_juridico GROUP BY id_epsa HAVING count(*) > 1) AS several',
    accents: "SELECT count(*) FROM localidad WHERE departamento = 'Potosí'",
    emoji:
      "SELECT count(*) FROM epsa WHERE observacion LIKE '%💧%' OR nombre_epsa LIKE '%💧%' OR direccion LIKE '%💧%'",
    quotes: `SELECT count(*) FROM representante WHERE nombre_representante LIKE '%O''Connor%' OR cargo LIKE '%"%'`,
    backslashes: "SELECT count(*) FROM identificacion_problemas WHERE efecto LIKE '%\\\\%'",
    'tabs and newlines': "SELECT count(*) FROM identificacion_problemas WHERE efecto ~ '[\\t\\n]'",
    'values out of line (TOAST)': 'SELECT count(*) FROM epsa WHERE pg_column_size(observacion) > 8000',
    'numerics at the limit': 'SELECT count(*) FROM ingresos WHERE monto = 999999999999.99',
    'numerics that are none':
      "SELECT count(*) FROM informacion_tecnica WHERE 'NaN' IN (pozo_ciego, numero_letrinas, dotacion_per_capita, numero_conexiones_ap, numero_conexions_as)",
    'special doubles':
      "SELECT count(*) FROM tratamiento_agua_residual WHERE coordenada_x IN ('NaN', 'Infinity', '-Infinity')",
    'doubles that 15 digits would change': 'SELECT count(*) FROM descarga_ar WHERE coordenada_x = 0.30000000000000004',
    'rows that stand there twice': `SELECT count(*) FROM (SELECT FROM instalacion_fuente_financiamiento f
      GROUP BY f.* HAVING count(*) > 1) AS doubled`,
    'EPSAs without any section': `SELECT count(*) FROM epsa e WHERE ${SECTIONS.map(
      ({ name }) => `NOT EXISTS (SELECT FROM ${name} s WHERE s.id_epsa = e.id_epsa)`,
    ).join(' AND ')}`,
  };
  for (const [oddity, sql] of Object.entries(oddities)) {
    it(`has ${oddity}`, async () => assert.ok((await number(client, sql)) > 0));
  }

  it('has real places: nine departments, their codes nested', async () => {
    assert.equal(await number(client, 'SELECT count(DISTINCT departamento) FROM localidad'), 9);
    const nested = 'cod_municipio LIKE cod_provincia || $1 AND cod_provincia LIKE cod_departamento || $1';
    assert.equal(await number(client, `SELECT count(*) FROM localidad WHERE NOT (${nested})`, ['%']), 0);
  });

  it('lacks a required value for the stated EPSAs only: 0.3 %', async () => {
    const broken = brokenEpsas({ epsas: 3000 });
    assert.equal(broken.length, 9);
    assert.deepEqual(await lackingEpsas(client), broken);
  });

  it('has every catalogue row, with its texts, that a required field needs', async () => {
    assert.equal(await lackingCatalogueTexts(client), 0);
  });

  it('never leaves open which funding of an installation counts', async () => {
    assert.equal(await openFundings(client), 0);
  });
});

describe('sample', () => {
  it('is the same for the same seed, and another for another', async () => {
    const fingerprints = [];
    for (const seed of [7, 7, 8]) {
      const { client } = await emptySiirays();
      await loadSample(client, { epsas: 60, seed });
      fingerprints.push(await fingerprint(client));
      await disconnect(client);
    }
    assert.equal(fingerprints[0], fingerprints[1]);
    assert.notEqual(fingerprints[0], fingerprints[2]);
  });

  it('has at most so many rows of sections an EPSA where it is asked to, of every table', () => {
    const options = { epsas: 600, sectionRows: 3 };
    const rows = [...sampleRows(options)];
    const sections = new Map(SECTIONS.map((section) => [section.name, 0]));
    const counts = new Map<string, number>();
    for (const { table, cells } of rows) {
      if (!sections.has(table.name)) continue;
      sections.set(table.name, sections.get(table.name)! + 1);
      const epsa = cells[table.ownId ? 1 : 0];
      if (epsa) counts.set(epsa, (counts.get(epsa) ?? 0) + 1);
    }
    const broken = new Set(brokenEpsas(options).map(String));
    // Orphans have no EPSA, but an id: they come last, and are told by it.
    for (const [epsa, count] of counts) {
      if (Number(epsa) < 90_000_000) assert.ok(count <= 4, `${epsa} has ${count}${broken.has(epsa) ? ', broken' : ''}`);
    }
    for (const [name, count] of sections) assert.ok(count > 10, `${name} has ${count}`);
    assert.deepEqual([...sampleRows(options)], rows, 'the same again');
  });

  it('is loaded whole or not at all', async () => {
    const { client } = await emptySiirays();
    await client.query('DROP TABLE requerimiento_desarrollo');
    await assert.rejects(loadSample(client, { epsas: 20 }), { code: '42P01' });
    assert.equal(await number(client, 'SELECT count(*) FROM epsa'), 0);
    await disconnect(client);
  });
});
