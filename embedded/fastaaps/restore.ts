import type pg from 'pg';
import { JsonArrayError, readArray } from '../../src/fastaaps/json-array.ts';
import { type Reason, refusal } from './answer.ts';
import { lockSet, type Target } from './database.ts';
import { idInDocument } from './document-id.ts';
import type { CompiledModel } from './model.ts';
import { isContentError, notJsonb, Reasons } from './reasons.ts';

const BATCH_DOCUMENTS = 500;
const BATCH_LENGTH = 1 << 20;

/** A document of the array with its place there, counted from 0. */
interface Placed {
  place: number;
  id: string;
  text: string;
}

/**
 * Replaces the whole set by the documents of a JSON array inside the open transaction of `client`. Reasons name a
 * document by its place in the array, as today's service does. The set's position is forgotten: what it holds now is
 * no changeset's state.
 */
export async function restoreSet(
  client: pg.ClientBase,
  target: Target,
  model: CompiledModel | undefined,
  body: AsyncIterable<Uint8Array>,
  maxDocumentLength: number,
): Promise<void> {
  await lockSet(client, target);
  const set = [target.collection, target.dbTag];
  await client.query('DELETE FROM document WHERE (collection, db_tag) = ($1, $2)', set);
  await client.query('DELETE FROM changeset_position WHERE (collection, db_tag) = ($1, $2)', set);
  const reasons = new Reasons();
  let batch: Placed[] = [];
  let length = 0;
  let place = 0;
  for await (const text of documentsOf(body, maxDocumentLength)) {
    const parsed = parseElement(text, place);
    const id = idInDocument(text, idPath(model));
    const found = refusedFor(parsed, model, id);
    reasons.add(found.map((reason) => ({ ...reason, loc: ['body', place, ...reason.loc] })));
    if (found.length === 0 && id !== undefined) {
      batch.push({ place, id, text });
      length += text.length;
    }
    place += 1;
    if (batch.length < BATCH_DOCUMENTS && length < BATCH_LENGTH) continue;
    await storeBatch(client, target, batch, reasons);
    batch = [];
    length = 0;
  }
  await storeBatch(client, target, batch, reasons);
  reasons.refuse();
}

/** Raw texts of the array's elements; 400 where the body is no JSON array, 413 where an element is over the limit. */
export async function* documentsOf(body: AsyncIterable<Uint8Array>, maxDocumentLength: number): AsyncGenerator<string> {
  try {
    yield* readArray(body, maxDocumentLength);
  } catch (error) {
    if (error instanceof JsonArrayError) throw refusal(error.reason === 'size' ? 413 : 400, error.message);
    throw error;
  }
}

/** Parses a copy of an element, for validation. */
export function parseElement(text: string, place: number): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw refusal(400, `element ${place} of the array is not JSON`);
  }
}

/** Where a document states its id; without a model it is the member `id`. */
export function idPath(model: CompiledModel | undefined): readonly string[] {
  return model && model.idPath.length > 0 ? model.idPath : ['id'];
}

/** What is wrong with a document of a set that is to be restored; `loc` is the path inside the document. */
export function refusedFor(parsed: unknown, model: CompiledModel | undefined, id: string | undefined): Reason[] {
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    return [{ loc: [], msg: 'Input should be an object', type: 'object' }];
  }
  const found = model?.check(parsed) ?? [];
  if (found.length > 0 || id !== undefined) return found;
  return [{ loc: [...idPath(model)], msg: 'Field required', type: 'missing' }];
}

async function storeBatch(client: pg.ClientBase, target: Target, batch: Placed[], reasons: Reasons): Promise<void> {
  if (batch.length === 0) return;
  if (!reasons.any) {
    try {
      await insertDocuments(client, target, batch, reasons);
      return;
    } catch (error) {
      if (!isContentError(error)) throw error;
      await client.query('ROLLBACK; BEGIN');
    }
  }
  const texts = batch.map((document) => document.text);
  for (const [index, msg] of await notJsonb(client, texts)) {
    reasons.add([{ loc: ['body', batch[index]?.place ?? index], msg, type: 'jsonb' }]);
  }
}

async function insertDocuments(client: pg.ClientBase, target: Target, batch: Placed[], reasons: Reasons) {
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO document (collection, db_tag, id, document)
     SELECT $1, $2, c.id, c.text::jsonb
       FROM unnest($3::text[], $4::text[]) WITH ORDINALITY AS c (id, text, place) ORDER BY place
     ON CONFLICT DO NOTHING RETURNING id`,
    [target.collection, target.dbTag, batch.map((document) => document.id), batch.map((document) => document.text)],
  );
  const inserted = new Set(rows.map((row) => row.id));
  for (const { id, place } of batch) {
    // Of two documents with one id the first takes the place; the second finds nothing left in the set.
    if (!inserted.delete(id))
      reasons.add([{ loc: ['body', place], msg: 'Two documents have one id', type: 'duplicate' }]);
  }
}
