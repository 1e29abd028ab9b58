import pg from 'pg';
import { connect, startupOptions, VALUE_SETTINGS } from '../postgres/session.ts';

const PROGRAM = 'siirays-sync';
/** application_name holds 63 bytes: program, token (19 digits at most) and as much of the connector's name. */
const CONNECTOR_CHARACTERS = 28;

/** What the sessions of one token have in common. */
export interface SessionOptions {
  syncUrl: string;
  connector: string;
  token: string;
  /** A transaction that its process has forgotten (or that stands still with it) is ended before the lease runs out. */
  idleInTransactionMs: number;
}

/** Settings of a session that applies, projects or delivers. */
function config({ syncUrl, connector, token, idleInTransactionMs }: SessionOptions): pg.PoolConfig {
  return {
    connectionString: syncUrl,
    application_name: `${PROGRAM}:${token}:${connector.slice(0, CONNECTOR_CHARACTERS)}`,
    options: startupOptions({
      ...VALUE_SETTINGS,
      idle_in_transaction_session_timeout: String(idleInTransactionMs),
      // Statements run again and again with arrays of unlike lengths: planning each anew costs more than it saves.
      plan_cache_mode: 'force_generic_plan',
      jit: 'off',
    }),
  };
}

export function connectSession(options: SessionOptions): Promise<pg.Client> {
  return connect(config(options));
}

/** A pool for what works beside the apply transaction. */
export function createSessionPool(options: SessionOptions, max: number): pg.Pool {
  const pool = new pg.Pool({ ...config(options), max, connectionTimeoutMillis: 10_000, keepAlive: true });
  // An idle connection's end shows at its next use.
  pool.on('error', () => undefined);
  return pool;
}

/**
 * Ends the sessions of older tokens: a predecessor that hangs may hold locks in a transaction that it cannot commit any
 * more. Needs the same role (PostgreSQL manual, 9.28.2). @returns how many were ended
 */
export async function endOlderSessions(client: pg.ClientBase, connector: string, token: string): Promise<number> {
  const { rows } = await client.query<{ ended: number }>(
    `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))::int AS ended FROM (
       SELECT pid, split_part(application_name, ':', 2) AS token FROM pg_stat_activity
       WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
         AND split_part(application_name, ':', 1) = $1 AND split_part(application_name, ':', 3) = $2) AS session
     WHERE token ~ '^[0-9]{1,18}$' AND token::bigint < $3`,
    [PROGRAM, connector.slice(0, CONNECTOR_CHARACTERS), token],
  );
  return rows[0]!.ended;
}
