import type { Response } from 'express';
import type pg from 'pg';
import { refusal } from './answer.ts';
import { streamRows, type Target } from './database.ts';
import { idToken } from './document-id.ts';
import { PieceWriter } from './piece-writer.ts';

export const POSITION_HEADER = 'FASTAAPS-Position';

/** The position as JSON text, made by the database: source, epoch, version, history, seq, lsn; no row, no position. */
const POSITION = `SELECT row_to_json(p)::text AS position
    FROM (SELECT source, epoch, version::text AS version, history, seq::text AS seq, lsn
            FROM changeset_position WHERE (collection, db_tag) = ($1, $2)) p`;

/** Documents with the position in one statement: one snapshot, so a reader knows which commit it sees. */
const SET = `SELECT p.position, d.document::text AS document
   FROM (SELECT (${POSITION}) AS position) p
   LEFT JOIN document d ON (d.collection, d.db_tag) = ($1, $2) AND d.document IS NOT NULL`;

/** GET of a whole set, ordered by id, streamed as PostgreSQL's text. */
export async function sendSet(pool: pg.Pool, target: Target, response: Response): Promise<void> {
  await sendDocuments(pool, `${SET} ORDER BY d.id_number, d.id`, target, response, 200);
}

/** The answer of a restored set: its documents in the order in which they came. */
export async function sendRestored(pool: pg.Pool, target: Target, response: Response): Promise<void> {
  await sendDocuments(pool, `${SET} ORDER BY d.arrival`, target, response, 201);
}

async function sendDocuments(pool: pg.Pool, sql: string, target: Target, response: Response, status: number) {
  type Row = { position: string | null; document: string | null };
  const values = [target.collection, target.dbTag];
  const writer = new PieceWriter(response);
  let opened = false;
  let separator = '[';
  for await (const row of streamRows<Row>(pool, sql, values, (one) => one.document?.length ?? 0)) {
    if (!opened) {
      if (row.position !== null) response.setHeader(POSITION_HEADER, asciiJson(row.position));
      response.status(status).type('application/json');
      opened = true;
    }
    if (row.document === null) continue;
    await writer.write(separator + row.document);
    separator = ',';
  }
  writer.end(separator === '[' ? '[]' : ']');
}

/** GET of one document. */
export async function sendDocument(pool: pg.Pool, target: Target, id: string, response: Response): Promise<void> {
  const { rows } = await pool.query<{ document: string }>(
    `SELECT document::text AS document FROM document
      WHERE (collection, db_tag, id) = ($1, $2, $3) AND document IS NOT NULL`,
    [target.collection, target.dbTag, id],
  );
  const row = rows[0];
  if (!row) throw refusal(404, `no document ${id} under ${target.dbTag}`);
  response.status(200).type('application/json').send(row.document);
}

/** GET position. 404 where the set holds no changeset: it is empty, or was restored. */
export async function sendPosition(pool: pg.Pool, target: Target, response: Response): Promise<void> {
  const { rows } = await pool.query<{ position: string }>(POSITION, [target.collection, target.dbTag]);
  const row = rows[0];
  if (!row) throw refusal(404, `no changeset under ${target.dbTag}`);
  response.status(200).type('application/json').send(row.position);
}

/** GET versions: one line per document or tombstone, ordered by id. */
export async function sendVersions(pool: pg.Pool, target: Target, response: Response): Promise<void> {
  type Row = { id: string; epoch: number; version: string; etag: string | null };
  const sql = `SELECT id, epoch, version::text AS version, etag FROM document
    WHERE (collection, db_tag) = ($1, $2) ORDER BY id_number, id`;
  response.status(200).type('application/x-ndjson');
  const values = [target.collection, target.dbTag];
  const writer = new PieceWriter(response);
  for await (const { id, epoch, version, etag } of streamRows<Row>(pool, sql, values, () => 120)) {
    const rest = JSON.stringify({ epoch, version, etag });
    await writer.write(`{"id":${idToken(id)},${rest.slice(1)}\n`);
  }
  writer.end('');
}

/** Header values are ASCII (RFC 9110, 5.5); JSON can write everything else as \\uXXXX. */
function asciiJson(json: string): string {
  return json.replace(/[\u007f-\uffff]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
