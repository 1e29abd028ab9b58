import type pg from 'pg';
import { connectorSchemas } from '../../consumer/replica-names.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';

/** Outboxes and dead letters are counted up to here: a first load may have millions. */
const COUNT_LIMIT = 100_000;

/** undefined_table, invalid_schema_name: the consumer has never been started. */
const ABSENT = new Set(['42P01', '3F000']);

export interface CommitAt {
  history: number;
  /** Decimal. */
  seq: string;
  /** X/Y */
  lsn: string;
  /** When it was committed in SIIRAyS. */
  committedAt: string | null;
}

/** How a connector stands, from one snapshot of its bookkeeping. Times are ISO 8601. */
export interface ConnectorState {
  /**
   * absent: its consumer never ran; awaiting: a full snapshot is asked for; loading: one is being read; following: the
   * replica takes every commit; paused by an operator.
   */
  state: 'absent' | 'paused' | 'awaiting' | 'loading' | 'following';
  paused: boolean;
  /** Why a full snapshot is awaited. */
  reason: string | null;
  /** Instance that holds the lease, last. */
  holder: string | null;
  /** The newest commit in the replica. */
  position: (CommitAt & { appliedAt: string | null }) | null;
  /** The newest commit that FASTAAPS shows. */
  delivered: (CommitAt & { deliveredAt: string | null }) | null;
  /** Documents that wait to be sent, counted up to 100,000. */
  pending: number;
  /** For how long the oldest of what is applied has waited for FASTAAPS to show it, milliseconds; 0: nothing waits; null: not known. */
  lagMs: number | null;
  /** Dead letters counted up to 100,000: those open, and those set aside. */
  deadLetters: { open: number; discarded: number };
}

export const ABSENT_STATE: ConnectorState = {
  state: 'absent',
  paused: false,
  reason: null,
  holder: null,
  position: null,
  delivered: null,
  pending: 0,
  lagMs: null,
  deadLetters: { open: 0, discarded: 0 },
};

interface Row {
  paused: boolean;
  requested: boolean;
  request_reason: string | null;
  staging: boolean;
  holder: string | null;
  position: ConnectorState['position'];
  delivered: ConnectorState['delivered'];
  pending: number;
  waiting_ms: number | null;
  unseen_ms: number | null;
  open: number;
  discarded: number;
}

/** Reads how a connector stands. */
export async function readConnectorState(client: pg.Pool | pg.ClientBase, connector: string): Promise<ConnectorState> {
  try {
    const { rows } = await client.query<Row>(stateSql(quoteIdentifier(connectorSchemas(connector).sync)));
    return stateOf(rows[0]!);
  } catch (error) {
    if (ABSENT.has(String((error as { code?: unknown }).code))) return ABSENT_STATE;
    throw error;
  }
}

function stateOf(row: Row): ConnectorState {
  const { paused, requested, request_reason, staging, holder, position, delivered, pending } = row;
  const unseen = position !== null && (delivered?.history !== position.history || delivered.seq !== position.seq);
  return {
    state: paused ? 'paused' : requested || position === null ? 'awaiting' : staging ? 'loading' : 'following',
    paused,
    reason: requested ? request_reason : null,
    holder,
    position,
    delivered,
    pending,
    lagMs: position === null ? null : (row.waiting_ms ?? (unseen ? row.unseen_ms : 0)),
    deadLetters: { open: row.open, discarded: row.discarded },
  };
}

function stateSql(s: string): string {
  const age = (time: string) => `greatest(0, extract(epoch FROM clock_timestamp() - ${time}) * 1000)::float8`;
  return `WITH waiting AS MATERIALIZED (SELECT id, epoch, version FROM ${s}.outbox LIMIT ${COUNT_LIMIT}),
      oldest AS (SELECT v.projected_at FROM (SELECT * FROM waiting ORDER BY epoch, version LIMIT 1) AS w
        JOIN ${s}.document_version AS v USING (id, epoch, version)),
      dead AS (SELECT discarded_at FROM ${s}.dead_letter LIMIT ${COUNT_LIMIT})
    SELECT c.paused, c.request_id IS NOT NULL AS requested, c.request_reason, c.staging_id IS NOT NULL AS staging, c.holder,
      CASE WHEN c.history IS NOT NULL THEN jsonb_build_object('history', c.history, 'seq', c.seq::text, 'lsn', c.lsn::text,
        'committedAt', ${isoSql('c.committed_at')}, 'appliedAt', ${isoSql('c.applied_at')}) END AS position,
      CASE WHEN d.history IS NOT NULL THEN jsonb_build_object('history', d.history, 'seq', d.seq::text, 'lsn', d.lsn::text,
        'committedAt', ${isoSql('d.committed_at')}, 'deliveredAt', ${isoSql('d.delivered_at')}) END AS delivered,
      (SELECT count(*)::int FROM waiting) AS pending,
      (SELECT ${age('projected_at')} FROM oldest) AS waiting_ms,
      ${age('c.applied_at')} AS unseen_ms,
      (SELECT count(*) FILTER (WHERE discarded_at IS NULL)::int FROM dead) AS open,
      (SELECT count(*) FILTER (WHERE discarded_at IS NOT NULL)::int FROM dead) AS discarded
    FROM ${s}.checkpoint AS c CROSS JOIN ${s}.delivery AS d`;
}

/** SQL of a timestamptz as ISO 8601 in UTC with milliseconds. */
export function isoSql(column: string): string {
  return `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
}

/**
 * Pauses a connector or lets it go on: its consumer looks at this by itself.
 * @returns whether that changed anything; null where the connector's consumer never ran
 */
export async function setPaused(client: pg.ClientBase, connector: string, paused: boolean): Promise<boolean | null> {
  const table = `${quoteIdentifier(connectorSchemas(connector).sync)}.checkpoint`;
  try {
    const { rowCount } = await client.query(`UPDATE ${table} SET paused = $1 WHERE paused <> $1`, [paused]);
    return rowCount === 1;
  } catch (error) {
    if (ABSENT.has(String((error as { code?: unknown }).code))) return null;
    throw error;
  }
}
