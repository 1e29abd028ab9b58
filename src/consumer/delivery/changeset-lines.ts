import type pg from 'pg';
import { cursorRows } from '../../postgres/cursor-rows.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';

interface Row {
  id: string;
  version: string;
  /** JSON text; null: the document is deleted. */
  body: string | null;
}

/**
 * The lines of the changeset of an open snapshot, ordered by id. Documents pass as PostgreSQL's text: no number of
 * theirs ever becomes one of JavaScript.
 */
export async function* changesetLines(
  client: pg.ClientBase,
  schema: string,
  idType: 'integer' | 'text',
): AsyncGenerator<string> {
  const s = quoteIdentifier(schema);
  const sql = `SELECT o.id, o.version::text AS version, v.body
    FROM ${s}.outbox AS o JOIN ${s}.document_version AS v USING (id, epoch, version) ORDER BY o.id`;
  for await (const row of cursorRows<Row>(client, sql, [], bodyLength)) {
    const id = idType === 'integer' ? row.id : JSON.stringify(row.id);
    yield row.body === null
      ? `{"op":"delete","id":${id},"version":"${row.version}"}\n`
      : `{"op":"upsert","id":${id},"version":"${row.version}","document":${oneLine(row.body)}}\n`;
  }
}

function bodyLength({ body }: Row): number {
  return body?.length ?? 0;
}

/** PostgreSQL's json functions may put line feeds between elements; inside JSON strings they are always escaped. */
export function oneLine(json: string): string {
  return json.includes('\n') || json.includes('\r') ? json.replaceAll(/[\r\n]/g, ' ') : json;
}
