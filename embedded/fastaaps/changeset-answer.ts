import type { Response } from 'express';
import type pg from 'pg';
import { applyChangeset } from './changeset.ts';
import { type Target, transaction, withClient } from './database.ts';
import type { CompiledModel } from './model.ts';
import { PieceWriter } from './piece-writer.ts';

const ETAGS_AT_ONCE = 1_000;

/**
 * Applies a changeset and answers with counts and the etag of every id in it. The etags are those of the committed
 * state: a cursor that the commit itself fills (WITH HOLD), read afterwards, however many they are.
 */
export async function answerChangeset(
  pool: pg.Pool,
  target: Target,
  model: CompiledModel | undefined,
  body: AsyncIterable<Uint8Array>,
  limits: { maxLineBytes: number },
  response: Response,
): Promise<void> {
  await withClient(pool, async (client) => {
    const counts = await transaction(client, async () => {
      const applied = await applyChangeset(client, target, model, body, limits.maxLineBytes);
      await client.query({
        text: `DECLARE answer NO SCROLL CURSOR WITH HOLD FOR
          SELECT l.id, d.etag FROM changeset_line l
            JOIN document d ON (d.collection, d.db_tag, d.id) = (${literal(client, target)}, l.id)`,
      });
      return applied;
    });
    response.status(200).type('application/json');
    const writer = new PieceWriter(response);
    await writer.write(`{"applied":${counts.applied},"ignored":${counts.ignored},"etags":{`);
    let separator = '';
    for (;;) {
      const { rows } = await client.query<{ id: string; etag: string | null }>(`FETCH ${ETAGS_AT_ONCE} FROM answer`);
      for (const { id, etag } of rows) {
        await writer.write(`${separator}${JSON.stringify(id)}:${JSON.stringify(etag)}`);
        separator = ',';
      }
      if (rows.length < ETAGS_AT_ONCE) break;
    }
    writer.end('}}');
    await client.query('CLOSE answer');
  });
}

/** DECLARE takes no parameters (PostgreSQL manual, DECLARE). */
function literal(client: pg.ClientBase, { collection, dbTag }: Target): string {
  return `${client.escapeLiteral(collection)}, ${client.escapeLiteral(dbTag)}`;
}
