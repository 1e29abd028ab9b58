import type { SizeCase } from './size-rig.ts';

/** Inserts so many rows in one statement, spread evenly over the EPSAs. */
export function insertOf(rows: number): string {
  return `WITH numbered AS (SELECT id_epsa, row_number() OVER (ORDER BY id_epsa) - 1 AS n, count(*) OVER () AS epsas FROM epsa)
    INSERT INTO problemas_contaminacion (id_problemas_contaminacion, id_epsa, descripcion)
    SELECT 10000000 + g, numbered.id_epsa, 'Descarga sin tratamiento aguas arriba de la toma ' || g
      FROM generate_series(1, ${rows}) AS g JOIN numbered ON n = g % epsas`;
}

/** One transaction of so many rows. */
export function largeTransaction(rows: number): SizeCase {
  return {
    options: { epsas: 1_000, settings: { producer: { KAFKA_TRANSACTION_TIMEOUT: '15m' } } },
    async run(rig) {
      await rig.siirays.query(insertOf(rows));
      await rig.shown();
      await rig.assertEqual();
      return `a transaction of ${rows} rows`;
    },
  };
}
