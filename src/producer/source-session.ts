import pg from 'pg';
import { type Lsn, parseLsn } from '../postgres/lsn.ts';
import { connect, disconnect, SOURCE_SETTINGS, startupOptions, TEXT_VALUES } from '../postgres/session.ts';
import type { SourceIdentity } from './position.ts';

/** An ordinary session on SIIRAyS beside the replication session: for the catalogue. Values come as text. */
export function connectSource(url: string): Promise<pg.Client> {
  return connect({
    connectionString: url,
    application_name: 'siirays-sync catalogue',
    // It lies idle for long, and making a slot waits for all who are writing.
    options: startupOptions({ ...SOURCE_SETTINGS, idle_session_timeout: '0', statement_timeout: '0' }),
    types: TEXT_VALUES,
  });
}

export async function hasSlot(client: pg.ClientBase, slot: string): Promise<boolean> {
  const { rowCount } = await client.query('SELECT 1 FROM pg_replication_slots WHERE slot_name = $1', [slot]);
  return rowCount === 1;
}

/**
 * Makes the slot where there is none. It exists before the first row is read, so that nothing falls between.
 * @returns whether it was made now
 */
export async function ensureSlot(client: pg.ClientBase, slot: string): Promise<boolean> {
  if (await hasSlot(client, slot)) return false;
  await client.query(`SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, [slot]);
  return true;
}

/**
 * Up to where the slot is confirmed.
 * @throws where the slot is gone
 */
export async function slotPosition(client: pg.ClientBase, slot: string): Promise<Lsn> {
  const { rows } = await client.query<{ lsn: string }>(
    'SELECT confirmed_flush_lsn::text AS lsn FROM pg_replication_slots WHERE slot_name = $1',
    [slot],
  );
  if (!rows[0]) throw new Error(`replication slot ${slot} is gone`);
  return parseLsn(rows[0].lsn);
}

/**
 * What identifies SIIRAyS's history. IDENTIFY_SYSTEM needs the REPLICATION right only (PostgreSQL manual, 54.4).
 * @throws where the slot is gone
 */
export async function identifySource(
  url: string,
  client: pg.ClientBase,
  slot: string,
  publication: string,
): Promise<SourceIdentity> {
  const replication = new pg.Client({
    connectionString: url,
    replication: 'database',
    application_name: 'siirays-sync identity',
    connectionTimeoutMillis: 5_000,
  } as pg.ClientConfig);
  replication.on('error', () => undefined);
  await replication.connect();
  let system: { systemid: string; timeline: number; xlogpos: string };
  try {
    system = (await replication.query('IDENTIFY_SYSTEM')).rows[0];
  } finally {
    await disconnect(replication);
  }
  return {
    systemIdentifier: system.systemid,
    timeline: Number(system.timeline),
    slot,
    publication,
    confirmedLsn: await slotPosition(client, slot),
    flushLsn: parseLsn(system.xlogpos),
  };
}
