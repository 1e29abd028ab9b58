import type pg from 'pg';
import { connectorSchemas } from '../../consumer/replica-names.ts';
import { cursorRows } from '../../postgres/cursor-rows.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { isoSql } from './connector-status.ts';
import { type DeadLetter, letterSql } from './dead-letter-store.ts';

export interface VersionNumber {
  epoch: number;
  /** Decimal. */
  version: string;
}

/** What is known of a document, without its content. */
export interface DocumentState {
  connector: string;
  id: string;
  deleted: boolean;
  /** The newest version that was made. */
  newest: VersionNumber;
  /** What FASTAAPS acknowledged last. */
  accepted: VersionNumber | null;
  etag: string | null;
  /** Whether it waits to be made anew or sent. */
  pending: boolean;
  deadLetter: DeadLetter | null;
  /** When it was last proven equal, and by which run. */
  proof: { at: string; run: string } | null;
}

/** Reads a document's state; null where there never was one of this id. @param runSchema the schema of the run history */
export async function readDocument(
  pool: pg.Pool,
  runSchema: string,
  connector: string,
  id: string,
): Promise<DocumentState | null> {
  const s = quoteIdentifier(connectorSchemas(connector).sync);
  const { rows } = await pool.query<Omit<DocumentState, 'connector'>>(
    `SELECT d.id, d.deleted, jsonb_build_object('epoch', d.epoch, 'version', d.version::text) AS newest,
       CASE WHEN d.accepted_epoch IS NOT NULL
         THEN jsonb_build_object('epoch', d.accepted_epoch, 'version', d.accepted_version::text) END AS accepted,
       d.etag,
       EXISTS (SELECT FROM ${s}.outbox AS o WHERE o.id = d.id) OR EXISTS (SELECT FROM ${s}.mark AS m WHERE m.id = d.id) AS pending,
       (SELECT ${letterSql(s)} FROM ${s}.dead_letter AS l WHERE l.id = d.id) AS "deadLetter",
       (SELECT jsonb_build_object('at', ${isoSql('p.proven_at')}, 'run', p.run) FROM ${quoteIdentifier(runSchema)}.proof AS p
        WHERE p.connector = $2 AND p.id = d.id) AS proof
     FROM ${s}.document AS d WHERE d.id = $1`,
    [id, connector],
  );
  const row = rows[0];
  return row === undefined ? null : { connector, ...row };
}

interface VersionRow {
  head: string;
  body: string | null;
}

/**
 * The kept versions of a document, newest first, each as the text of a JSON object. The body is spliced in as it was sent:
 * no number of it is ever read.
 */
export async function* versionTexts(client: pg.ClientBase, connector: string, id: string): AsyncGenerator<string[]> {
  const s = quoteIdentifier(connectorSchemas(connector).sync);
  const sql = `SELECT json_build_object('epoch', epoch, 'version', version::text, 'history', history, 'seq', seq::text, 'lsn', lsn::text,
      'projectedAt', ${isoSql('projected_at')}, 'deleted', body IS NULL)::text AS head, body
    FROM ${s}.document_version WHERE id = $1 ORDER BY document_version.epoch DESC, document_version.version DESC`;
  for await (const { head, body } of cursorRows<VersionRow>(client, sql, [id], (row) => row.body?.length ?? 0)) {
    yield [head.slice(0, head.lastIndexOf('}')), ',"body":', body ?? 'null', '}'];
  }
}
