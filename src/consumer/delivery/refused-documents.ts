import type pg from 'pg';
import { FastaapsError, type RefusedDocument } from '../../fastaaps/errors.ts';
import { withConnection } from '../../postgres/borrowed-connection.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import type { Acknowledgement } from './acknowledge.ts';
import type { DeliveryContext } from './delivery.ts';

/** So many ids are named in the log; all of them are in the table. */
const LOGGED_IDS = 20;

/**
 * Makes dead letters of what FASTAAPS refused, so that the rest can go at once.
 * @param snapshot the open snapshot that was sent: it knows the versions that were refused
 * @throws FastaapsError where none of the ids was sent: sending again would end in the same way
 */
export async function buryRefused(
  context: DeliveryContext,
  acknowledgement: Acknowledgement,
  snapshot: pg.ClientBase,
  epoch: number,
  refused: readonly RefusedDocument[],
): Promise<void> {
  const { rows } = await snapshot.query<{ id: string; version: string }>(
    `SELECT id, version::text AS version FROM ${quoteIdentifier(context.schema)}.outbox WHERE id = ANY ($1)`,
    [refused.map((document) => document.id)],
  );
  const versions = new Map(rows.map((row) => [row.id, row.version]));
  const sent = refused.flatMap((document) => {
    const version = versions.get(document.id);
    return version === undefined ? [] : [{ ...document, epoch, version }];
  });
  if (sent.length === 0) throw unknownDocuments(refused);
  const buried = await withConnection(context.pool, async (client) => {
    await acknowledgement.begin(client);
    const ids = await acknowledgement.bury(client, sent);
    await acknowledgement.commit(client);
    return ids;
  });
  logRefused(context, refused, buried);
}

export function unknownDocuments(refused: readonly RefusedDocument[]): FastaapsError {
  return new FastaapsError('configuration', `FASTAAPS refuses ${refused.length} document(s) that were not sent`, {
    status: 422,
    setting: 'the connector’s target and the service’s schema',
  });
}

export function logRefused(context: DeliveryContext, refused: readonly RefusedDocument[], buried: string[]): void {
  if (buried.length === 0) return;
  const dead = new Set(buried);
  const named = refused.filter((document) => dead.has(document.id)).slice(0, LOGGED_IDS);
  context.counters.deadLetters.inc(buried.length);
  context.log.warn(
    { event: 'documents_refused', documents: buried.length, named: named.map(({ id, path }) => ({ id, path })) },
    'FASTAAPS refused documents: they are dead letters now, the rest goes on',
  );
  context.onDeadLetters();
}
