import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { CATALOGUES } from '../../../embedded/siirays/sample-catalogues.ts';
import { EPSA, SECTIONS } from '../../../embedded/siirays/sample-sections.ts';
import { connect } from '../../../src/postgres/session.ts';
import { testDatabase } from '../../support/postgres.ts';

const SCHEMA = readFileSync(join(import.meta.dirname, '../../../embedded/siirays/schema.sql'), 'utf8');

/** Every table of SIIRAyS. */
export const TABLES = [...CATALOGUES, EPSA, ...SECTIONS];

/** A fresh, empty SIIRAyS and a connection to it, which the caller ends. */
export async function emptySiirays(): Promise<{ client: pg.Client; url: string }> {
  const { url } = await testDatabase();
  const client = await connect({ connectionString: url });
  await client.query(SCHEMA);
  return { client, url };
}

/** The one number of a query. */
export async function number(client: pg.Client, sql: string, values: unknown[] = []): Promise<number> {
  const { rows } = await client.query<{ n: string }>(`SELECT (${sql})::text AS n`, values);
  return Number(rows[0]!.n);
}

/** A fingerprint of every row, their order left out. */
export async function fingerprint(client: pg.Client): Promise<string> {
  const parts = TABLES.map(
    ({ name }) => `SELECT '${name}' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM ${name} t`,
  );
  const { rows } = await client.query<{ md5: string }>(
    `SELECT md5(string_agg(x, '' ORDER BY x)) FROM (${parts.join(' UNION ALL ')}) AS all_tables (x)`,
  );
  return rows[0]!.md5;
}

/** The EPSAs with a row that lacks a value that the documents require. */
export async function lackingEpsas(client: pg.Client): Promise<number[]> {
  const lacking = SECTIONS.filter((section) => section.required.length > 0).map(
    ({ name, required }) =>
      `SELECT id_epsa FROM ${name} WHERE ${required.map((column) => `${column} IS NULL`).join(' OR ')}`,
  );
  const { rows } = await client.query<{ id_epsa: number }>(
    `SELECT id_epsa FROM (${lacking.join(' UNION ')}) AS lacking ORDER BY id_epsa`,
  );
  return rows.map((row) => row.id_epsa);
}

/** Section, catalogue and the texts of it that a required field shows. */
const NEEDS: [string, string, string][] = [
  ['documento_acreditacion', 'tipo_acreditacion', 'c.tipo_documento_acreditacion || c.descripcion_acreditacion'],
  ['tecnica_tuberia', 'localidad', 'c.localidad'],
  ['tecnica_tuberia', 'sector', 'c.sector'],
  ['tecnica_tuberia', 'material_tuberia', 'c.material_tuberia'],
  ['tratamiento_agua_residual', 'tipo_tratamiento_ar', 'c.descripcion_tratamiento'],
  ['descarga_ar', 'cuerpo_receptor', 'c.cuerpo_receptor'],
  ['funcionarios', 'tipo_funcionario', 'c.tipo_funcionario'],
  ['ingresos', 'tipo_ingreso', 'c.concepto'],
  ['ingresos', 'periodo_pago', 'c.periodo_pago'],
  ['requerimiento_desarrollo', 'tipo_requerimiento', 'c.descripcion_tipo_requerimiento'],
  [
    'instalacion_fuente_financiamiento',
    'fuente_financiamiento',
    'c.fuente_financiamiento || c.descripcion_fuente_financiamien',
  ],
];

/** Number of section rows whose catalogue row, or a text of it that the documents require, is missing. */
export async function lackingCatalogueTexts(client: pg.Client): Promise<number> {
  const parts = NEEDS.map(
    ([section, catalogue, texts]) =>
      `SELECT FROM ${section} s LEFT JOIN ${catalogue} c USING (id_${catalogue})
       WHERE s.id_${catalogue} IS NOT NULL AND (${texts}) IS NULL`,
  );
  const problems = `SELECT FROM identificacion_problemas s LEFT JOIN tipo_sistema_problema c USING (id_tipo_problema)
    WHERE s.id_tipo_problema IS NOT NULL AND c.descripcion_tipo_problema IS NULL`;
  return number(client, `SELECT count(*) FROM (${[...parts, problems].join(' UNION ALL ')}) AS lacking`);
}

/** Number of installations of which more than one funding could count. */
export async function openFundings(client: pg.Client): Promise<number> {
  return number(
    client,
    `SELECT count(*) FROM (SELECT FROM (SELECT DISTINCT * FROM instalacion_fuente_financiamiento) AS once
       GROUP BY id_epsa, id_instalacion, id_fuente_financiamiento HAVING count(*) > 1) AS several`,
  );
}
