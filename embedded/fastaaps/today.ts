import type pg from 'pg';
import { Refusal } from './answer.ts';
import type { Target } from './database.ts';
import { idInDocument } from './document-id.ts';
import type { CompiledModel } from './model.ts';
import { Reasons } from './reasons.ts';
import { documentsOf, idPath, parseElement, refusedFor } from './restore.ts';
import { asToday } from './today-model.ts';

const BATCH_DOCUMENTS = 100;

/**
 * Restores a set as today's service does: the whole body is read and checked, then the set is dropped, then the
 * documents are inserted batch by batch, each step a transaction of its own. A reader meanwhile sees an empty or
 * half-filled set, and so does everybody after a crash in between.
 */
export async function restoreLikeToday(
  pool: pg.Pool,
  target: Target,
  model: CompiledModel | undefined,
  body: AsyncIterable<Uint8Array>,
  maxDocumentLength: number,
): Promise<void> {
  const documents = await readAll(model, body, maxDocumentLength);
  const set = [target.collection, target.dbTag];
  await pool.query('DELETE FROM document WHERE (collection, db_tag) = ($1, $2)', set);
  await pool.query('DELETE FROM changeset_position WHERE (collection, db_tag) = ($1, $2)', set);
  for (let from = 0; from < documents.length; from += BATCH_DOCUMENTS) {
    const batch = documents.slice(from, from + BATCH_DOCUMENTS);
    await pool.query(
      `INSERT INTO document (collection, db_tag, id, document)
       SELECT $1, $2, c.id, c.text::jsonb
         FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS c (id, text, place) ORDER BY place`,
      [...set, batch.map((document) => document.id), batch.map((document) => document.text)],
    );
  }
}

async function readAll(
  model: CompiledModel | undefined,
  body: AsyncIterable<Uint8Array>,
  maxDocumentLength: number,
): Promise<{ id: string; text: string }[]> {
  const reasons = new Reasons();
  const documents = new Map<string, { id: string; text: string }>();
  let place = 0;
  for await (const element of documentsOf(body, maxDocumentLength)) {
    const document = asToday(parseElement(element, place), model?.schema ?? {});
    const text = JSON.stringify(document);
    const id = text.startsWith('{') ? idInDocument(text, idPath(model)) : undefined;
    const found = refusedFor(document, model, id);
    reasons.add(found.map((reason) => ({ ...reason, loc: ['body', place, ...reason.loc] })));
    if (id !== undefined) documents.set(id, { id, text });
    place += 1;
  }
  reasons.refuse();
  if (documents.size < place) {
    throw new Refusal(422, [{ loc: ['body'], msg: 'Two documents have one id', type: 'duplicate' }]);
  }
  return [...documents.values()];
}
