import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { createPrng, type Prng } from '../../embedded/siirays/sample-prng.ts';
import { connect, disconnect } from '../../src/postgres/session.ts';

/** Sections that may be emptied: no document requires one of their rows. */
const EMPTIED = [
  'problemas_contaminacion',
  'sistema_ap',
  'tecnica_as',
  'ubicacion',
  'representante',
  'requerimiento_desarrollo',
];

/** EPSAs that are not there: their rows show in no document. */
const NOWHERE = 5_000_000;

export interface BulkOptions {
  url: string;
  seed: number;
  /** The largest transaction. */
  mostRows: number;
}

export const BULK_KINDS = [
  'insert',
  'delete',
  'everywhere',
  'truncate',
  'truncateSome',
  'catalogue',
  'rolledBack',
] as const;

/** Large and coarse transactions beside the users' small ones, one after the other, until the signal comes. */
export async function runBulk({ url, seed, mostRows }: BulkOptions, signal: AbortSignal): Promise<void> {
  let client: pg.Client | undefined;
  for (let turn = 1; !signal.aborted; turn++) {
    const prng = createPrng(seed, 3, turn);
    try {
      client ??= await connect({ connectionString: url, query_timeout: 60_000 });
      await bulkTransaction(client, prng, mostRows);
    } catch {
      // Deadlocks, locks, kills: SIIRAyS rolls back, and another one comes.
      if (client) await disconnect(client);
      client = undefined;
    }
    await sleep(prng.between(200, 1_500), undefined, { signal }).catch(() => undefined);
  }
  if (client) await disconnect(client);
}

async function bulkTransaction(client: pg.Client, prng: Prng, mostRows: number): Promise<void> {
  const kind = prng.pick(BULK_KINDS);
  // Small ones often, large ones now and then: the logarithm is uniform.
  const rows = Math.ceil(mostRows ** prng.next());
  const table = prng.pick(EMPTIED);
  const label = `tormenta ${prng.int(1_000_000)}`;
  await client.query('BEGIN');
  await client.query(`SET LOCAL lock_timeout = '2s'`);
  switch (kind) {
    case 'insert':
    case 'rolledBack':
      await client.query(
        `INSERT INTO funcionarios SELECT m.high + n, CASE WHEN n % 20 = 0 THEN (SELECT min(id_epsa) FROM epsa) ELSE $1 END, n, 1
           FROM generate_series(1, $2::integer) n, (SELECT coalesce(max(id_funcionarios), 0) AS high FROM funcionarios) m
          WHERE n % 20 <> 0 OR n < 400`,
        [NOWHERE, rows],
      );
      break;
    case 'delete':
      await client.query('DELETE FROM funcionarios WHERE id_epsa = $1', [NOWHERE]);
      break;
    case 'everywhere':
      await client.query('UPDATE epsa SET fax = $1', [label]);
      await client.query('SAVEPOINT before');
      await client.query('UPDATE epsa SET web = $1', [label]);
      await client.query('ROLLBACK TO SAVEPOINT before');
      await client.query('UPDATE problemas_contaminacion SET descripcion = $1', [label]);
      break;
    case 'truncate':
      await client.query(`CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM ${table}`);
      await client.query(`TRUNCATE ${table}`);
      await client.query(`INSERT INTO ${table} SELECT * FROM kept`);
      await client.query('UPDATE epsa SET direccion = $1 WHERE id_epsa % 3 = 0', [label]);
      break;
    case 'truncateSome':
      await client.query(`CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM ${table} WHERE id_epsa % 2 = 0`);
      await client.query(`TRUNCATE ${table}, tecnica_as`);
      if (table !== 'tecnica_as') await client.query(`INSERT INTO ${table} SELECT * FROM kept`);
      break;
    case 'catalogue':
      await client.query('UPDATE tipo_funcionario SET tipo_funcionario = $1', [label]);
      await client.query('UPDATE localidad SET departamento = $1 WHERE id_localidad % 5 = 0', [label]);
      break;
  }
  await client.query(kind === 'rolledBack' ? 'ROLLBACK' : 'COMMIT');
}
