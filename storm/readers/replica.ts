import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { quoteIdentifier } from '../../src/postgres/identifier.ts';
import { connect, disconnect, startupOptions, TEXT_VALUES, VALUE_SETTINGS } from '../../src/postgres/session.ts';
import type { Sums } from '../history/records.ts';
import { sumOf, type TableShape } from '../witness/mirror.ts';
import type { Row } from '../witness/test-decoding.ts';

/** The replica with its checkpoint, in one snapshot. */
export interface ReplicaState {
  history: number;
  seq: string;
  lsn: string;
  tables: Sums;
}

const CONNECTOR = 'epsa';
const PAUSE_MS = 200;

/** Reads the replica, past every proxy, until the signal comes; told of each new position. */
export async function readReplica(
  url: string,
  shapes: readonly TableShape[],
  signal: AbortSignal,
  told: (state: ReplicaState) => void,
): Promise<void> {
  const settings = { types: TEXT_VALUES, options: startupOptions(VALUE_SETTINGS) };
  let client: pg.Client | undefined;
  let last = '';
  while (!signal.aborted) {
    try {
      client ??= await connect({ connectionString: url, ...settings, query_timeout: 10_000 });
      const state = await readState(client, shapes, last);
      if (state) {
        last = `${state.history}.${state.seq}`;
        told(state);
      }
    } catch {
      // Its server is being killed or stopped.
      if (client) await disconnect(client);
      client = undefined;
    }
    await sleep(PAUSE_MS);
  }
  if (client) await disconnect(client);
}

/** Undefined where there is nothing new, or while a full snapshot is filled beside the replica, which stands still. */
async function readState(
  client: pg.Client,
  shapes: readonly TableShape[],
  last: string,
): Promise<ReplicaState | undefined> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    const { rows } = await client.query<{ history: string; seq: string; lsn: string }>(
      `SELECT history, seq, lsn FROM ${CONNECTOR}_sync.checkpoint
        WHERE seq IS NOT NULL AND lsn IS NOT NULL AND staging_id IS NULL AND request_id IS NULL`,
    );
    const checkpoint = rows[0];
    if (!checkpoint || `${checkpoint.history}.${checkpoint.seq}` === last) return undefined;
    const counted = await keylessTables(client);
    const tables: Sums = {};
    for (const { name, columns } of shapes) {
      const list = columns.map((column) => `t.${quoteIdentifier(column)}`).join(', ');
      const often = counted.get(name);
      const repeated = often ? `, generate_series(1, t.${quoteIdentifier(often)})` : '';
      const table = `${CONNECTOR}.${quoteIdentifier(name)}`;
      tables[name] = sumOf((await client.query<Row>(`SELECT ${list} FROM ${table} t${repeated}`)).rows);
    }
    return { history: Number(checkpoint.history), seq: checkpoint.seq, lsn: checkpoint.lsn, tables };
  } finally {
    await client.query('COMMIT');
  }
}

/** A table without a key is kept as distinct rows with a count: by table the count's column. */
async function keylessTables(client: pg.Client): Promise<Map<string, string>> {
  const { rows } = await client.query<{ name: string; counted: string }>(
    `SELECT c.relname AS name, a.attname AS counted FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
      WHERE c.relnamespace = $1::text::regnamespace AND c.relkind = 'r' AND a.attname LIKE '%\\_count' AND NOT a.attisdropped`,
    [CONNECTOR],
  );
  return new Map(rows.map(({ name, counted }) => [name, counted]));
}
