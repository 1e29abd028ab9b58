import type pg from 'pg';
import type { Reason } from './answer.ts';
import { type Change, type ChangesetHeader, openChangeset } from './changeset-reader.ts';
import { lockSet, type Target } from './database.ts';
import { idForDetail, idInDocument } from './document-id.ts';
import type { CompiledModel } from './model.ts';
import { isContentError, notJsonb, Reasons } from './reasons.ts';

const BATCH_CHANGES = 500;
const BATCH_LENGTH = 1 << 20;

export interface ChangesetCounts {
  applied: number;
  ignored: number;
}

/**
 * Applies a changeset inside the open transaction of `client`, in batches, reading on only when a batch is stored.
 * A change is ignored where its (epoch, version) is not greater than the stored one. Once a document is refused,
 * nothing more is stored, and the rest is read for its reasons; then a 422 is thrown, and the transaction is to be
 * rolled back. Afterwards the temporary table changeset_line lists every id of the changeset.
 */
export async function applyChangeset(
  client: pg.ClientBase,
  target: Target,
  model: CompiledModel | undefined,
  body: AsyncIterable<Uint8Array>,
  maxLineBytes: number,
): Promise<ChangesetCounts> {
  await lockSet(client, target);
  await client.query(
    `CREATE TEMPORARY TABLE IF NOT EXISTS changeset_line (id text COLLATE "C" PRIMARY KEY) ON COMMIT DELETE ROWS`,
  );
  const { header, changes } = await openChangeset(body, maxLineBytes);
  const counts = { applied: 0, ignored: 0 };
  const reasons = new Reasons();
  const batch = new Batch();
  const store = async (): Promise<void> => {
    await storeBatch(client, target, header.epoch, batch, reasons, counts);
    batch.clear();
  };
  for await (const change of changes) {
    reasons.add(refusedFor(change, model, batch));
    batch.add(change);
    if (batch.isFull) await store();
  }
  await store();
  reasons.refuse();
  await storePosition(client, target, header);
  return counts;
}

/** Changes on their way into the database. */
class Batch {
  readonly ids = new Set<string>();
  changes: Change[] = [];
  private length = 0;

  get isFull(): boolean {
    return this.changes.length >= BATCH_CHANGES || this.length >= BATCH_LENGTH;
  }

  add(change: Change): void {
    this.ids.add(change.id);
    this.changes.push({ id: change.id, version: change.version, text: change.text });
    this.length += change.text?.length ?? 0;
  }

  clear(): void {
    this.ids.clear();
    this.changes = [];
    this.length = 0;
  }
}

function refusedFor(change: Change, model: CompiledModel | undefined, batch: Batch): Reason[] {
  const id = idForDetail(change.id);
  if (batch.ids.has(change.id)) return [duplicate(change.id)];
  if (change.text === null) return [];
  if (!change.text.startsWith('{')) {
    return [{ id, loc: ['document'], msg: 'Input should be an object', type: 'object' }];
  }
  if (!model) return [];
  const found = model.check(change.parsed).map((reason) => ({ id, ...reason, loc: ['document', ...reason.loc] }));
  if (found.length > 0 || model.idPath.length === 0) return found;
  if (idInDocument(change.text, model.idPath) === change.id) return [];
  return [{ id, loc: ['document', ...model.idPath], msg: "Input should be the change's id", type: 'id' }];
}

function duplicate(id: string): Reason {
  return { id: idForDetail(id), loc: ['id'], msg: 'The changeset has this id more than once', type: 'duplicate' };
}

async function storeBatch(
  client: pg.ClientBase,
  target: Target,
  epoch: number,
  { changes }: Batch,
  reasons: Reasons,
  counts: ChangesetCounts,
): Promise<void> {
  if (changes.length === 0) return;
  const texts = changes.map((change) => change.text);
  if (reasons.any) {
    addContentReasons(changes, await notJsonb(client, texts), reasons);
    return;
  }
  try {
    const listed = await client.query<{ id: string }>(
      'INSERT INTO changeset_line (id) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING RETURNING id',
      [changes.map((change) => change.id)],
    );
    if (listed.rows.length < changes.length) {
      const fresh = new Set(listed.rows.map((row) => row.id));
      for (const { id } of changes) if (!fresh.has(id)) reasons.add([duplicate(id)]);
      return;
    }
    const applied = await upsert(client, target, epoch, changes);
    counts.applied += applied;
    counts.ignored += changes.length - applied;
  } catch (error) {
    if (!isContentError(error)) throw error;
    // Nothing of it will stay, but the rest has still to be checked, which a failed transaction cannot do.
    await client.query('ROLLBACK; BEGIN');
    addContentReasons(changes, await notJsonb(client, texts), reasons);
    if (!reasons.any) throw error;
  }
}

function addContentReasons(changes: readonly Change[], found: Map<number, string>, reasons: Reasons): void {
  for (const [place, msg] of found) {
    const id = idForDetail(changes[place]?.id ?? '');
    reasons.add([{ id, loc: ['document'], msg, type: 'jsonb' }]);
  }
}

async function upsert(client: pg.ClientBase, target: Target, epoch: number, changes: Change[]): Promise<number> {
  const { rowCount } = await client.query(
    `INSERT INTO document AS d (collection, db_tag, id, epoch, version, document)
     SELECT $1, $2, c.id, $3, c.version::numeric, c.text::jsonb
       FROM unnest($4::text[], $5::text[], $6::text[]) AS c (id, version, text)
     ON CONFLICT (collection, db_tag, id)
       DO UPDATE SET epoch = excluded.epoch, version = excluded.version, document = excluded.document
       WHERE (d.epoch, d.version) < (excluded.epoch, excluded.version)`,
    [
      target.collection,
      target.dbTag,
      epoch,
      changes.map((change) => change.id),
      changes.map((change) => change.version),
      changes.map((change) => change.text),
    ],
  );
  return rowCount ?? 0;
}

/** The position never goes back: a repeated older changeset leaves it as it is. */
async function storePosition(client: pg.ClientBase, target: Target, header: ChangesetHeader): Promise<void> {
  await client.query(
    `INSERT INTO changeset_position AS p (collection, db_tag, source, epoch, version, history, seq, lsn)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
     ON CONFLICT (collection, db_tag) DO UPDATE
       SET source = excluded.source, epoch = excluded.epoch, version = excluded.version,
           history = excluded.history, seq = excluded.seq, lsn = excluded.lsn
       WHERE (p.epoch, p.version, p.history, p.seq)
             <= (excluded.epoch, excluded.version, excluded.history, excluded.seq)`,
    [
      target.collection,
      target.dbTag,
      header.source,
      header.epoch,
      header.version,
      header.history,
      header.seq,
      header.lsn,
    ],
  );
}
