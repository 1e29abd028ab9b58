import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { textArray } from '../consumer/text-array.ts';
import { quoteIdentifier } from '../postgres/identifier.ts';
import { connect, disconnect, startupOptions } from '../postgres/session.ts';
import { createBackoff } from '../retry/backoff.ts';

/** Marks made in one statement. */
const PORTION = 1_000;
/** How long marks that an open transaction of the consumer holds are waited for. */
const PATIENCE_MS = 60_000;
/** The lock was not had in time; a deadlock. */
const HELD_UP = ['55P03', '40P01'];
/** We give way before the consumer could be ended for a deadlock. */
const SETTINGS = startupOptions({ lock_timeout: '200ms', statement_timeout: '60s' });

/**
 * Asks the consumer to make new versions of documents, whatever their hash says. Nothing but marks: the outbox has one
 * writer. Idempotent.
 * @param use runs work on a session whose lock_timeout is short: the consumer's transactions hold marks too
 */
export async function insertMarks(
  use: (work: (client: pg.ClientBase) => Promise<unknown>) => Promise<unknown>,
  syncSchema: string,
  ids: readonly string[],
): Promise<void> {
  const insert = `INSERT INTO ${quoteIdentifier(syncSchema)}.mark (id, forced)
    SELECT DISTINCT id, true FROM unnest($1::text[]) AS t(id) ORDER BY id
    ON CONFLICT (id) DO UPDATE SET forced = true`;
  for (let at = 0; at < ids.length; at += PORTION) {
    const portion = textArray(ids.slice(at, at + PORTION));
    await givingWay(() => use((client) => client.query(insert, [portion])));
  }
}

/**
 * The same on a session of its own, but for documents whose newest version is a dead letter that somebody has set aside: a
 * new version would be refused as the last one, and stand open again.
 * @returns those
 */
export function markUnlessSetAside(syncUrl: string, syncSchema: string, ids: readonly string[]): Promise<string[]> {
  const s = quoteIdentifier(syncSchema);
  return withSession(syncUrl, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      `SELECT d.id FROM ${s}.document AS d
         JOIN ${s}.dead_letter AS l ON (l.id, l.epoch, l.version) = (d.id, d.epoch, d.version)
       WHERE l.discarded_at IS NOT NULL AND d.id = ANY ($1::text[])`,
      [textArray(ids)],
    );
    const setAside = new Set(rows.map(({ id }) => id));
    const others = ids.filter((id) => !setAside.has(id));
    await insertMarks((work) => work(client), syncSchema, others);
    return [...setAside];
  });
}

/** Makes the consumer of an adapter `restore` send its whole set once more, by one mark, where it has any document. */
export function sendSetAgain(syncUrl: string, syncSchema: string): Promise<void> {
  return withSession(syncUrl, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      `SELECT id FROM ${quoteIdentifier(syncSchema)}.document WHERE NOT deleted LIMIT 1`,
    );
    await insertMarks(
      (work) => work(client),
      syncSchema,
      rows.map(({ id }) => id),
    );
  });
}

async function withSession<T>(syncUrl: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connect({
    connectionString: syncUrl,
    application_name: 'siirays-sync reconciler',
    options: SETTINGS,
  });
  try {
    return await work(client);
  } finally {
    await disconnect(client);
  }
}

/** Tries again what gave way to the consumer's transactions. */
async function givingWay(work: () => Promise<unknown>): Promise<void> {
  const backoff = createBackoff({ minMs: 50, maxMs: 1_000 });
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      const heldUp = error instanceof pg.DatabaseError && HELD_UP.includes(error.code ?? '');
      if (!heldUp || performance.now() > deadline) throw error;
      await sleep(backoff.next());
    }
  }
}
