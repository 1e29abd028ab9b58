import type pg from 'pg';
import { quoteIdentifier } from '../../postgres/identifier.ts';

/** A commit of SIIRAyS that the documents correspond to. */
export interface ProjectedCommit {
  history: number;
  /** Decimal. */
  seq: string;
  /** X/Y */
  lsn: string;
  /** Commit time in SIIRAyS, milliseconds since 1970. */
  committedMs: number;
}

/** What one snapshot of the bookkeeping says about deliveries. */
export interface Pending {
  token: string;
  epoch: number;
  /** null while nothing was projected yet. */
  projected: ProjectedCommit | null;
  /** The newest changeset that FASTAAPS acknowledged; null before the first. */
  delivered: { epoch: number; version: string; history: number; seq: string } | null;
  /** Documents in the outbox, deletions included. */
  documents: number;
  deleted: number;
  /** The highest version in the outbox; null where it is empty. */
  version: string | null;
  /** Rows of the outbox that cannot be sent: of another epoch, or without their body. */
  unfit: number;
  /** Marks that must make a new version, and have not yet. */
  forcedMarks: number;
}

interface Row {
  token: string;
  epoch: number;
  projected_history: number | null;
  projected_seq: string;
  projected_lsn: string;
  projected_ms: number;
  delivered_epoch: number | null;
  delivered_version: string;
  delivered_history: number;
  delivered_seq: string;
  documents: number;
  deleted: number;
  version: string | null;
  unfit: number;
  forced_marks: number;
}

/** Reads what is pending, in one statement: one snapshot. */
export async function readPending(client: pg.ClientBase | pg.Pool, schema: string): Promise<Pending> {
  const { rows } = await client.query<Row>(pendingSql(quoteIdentifier(schema)));
  const row = rows[0];
  if (!row) throw new Error(`${schema}.checkpoint or ${schema}.delivery has no row`);
  return {
    token: row.token,
    epoch: row.epoch,
    projected:
      row.projected_history === null
        ? null
        : {
            history: row.projected_history,
            seq: row.projected_seq,
            lsn: row.projected_lsn,
            committedMs: row.projected_ms,
          },
    delivered:
      row.delivered_epoch === null
        ? null
        : {
            epoch: row.delivered_epoch,
            version: row.delivered_version,
            history: row.delivered_history,
            seq: row.delivered_seq,
          },
    documents: row.documents,
    deleted: row.deleted,
    version: row.version,
    unfit: row.unfit,
    forcedMarks: row.forced_marks,
  };
}

function pendingSql(s: string): string {
  return `SELECT c.token::text, c.epoch, c.projected_history, c.projected_seq::text, c.projected_lsn::text,
      (extract(epoch FROM c.projected_committed_at) * 1000)::float8 AS projected_ms,
      d.epoch AS delivered_epoch, d.version::text AS delivered_version, d.history AS delivered_history,
      d.seq::text AS delivered_seq,
      o.documents, o.deleted, o.version, o.unfit,
      (SELECT count(*)::int FROM ${s}.mark WHERE forced) AS forced_marks
    FROM ${s}.checkpoint AS c CROSS JOIN ${s}.delivery AS d CROSS JOIN LATERAL (
      SELECT count(*)::int AS documents,
        (count(*) FILTER (WHERE v.id IS NOT NULL AND v.body IS NULL))::int AS deleted,
        max(o.version)::text AS version,
        (count(*) FILTER (WHERE o.epoch <> c.epoch OR v.id IS NULL))::int AS unfit
      FROM ${s}.outbox AS o LEFT JOIN ${s}.document_version AS v USING (id, epoch, version)) AS o`;
}

/**
 * Opens the snapshot that a changeset is made from: everything read until it ends is of one moment. It may stand open
 * for as long as the other side takes, for it holds no lock that anybody waits for.
 */
export async function beginSnapshot(client: pg.ClientBase): Promise<void> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL idle_in_transaction_session_timeout = 0');
}
