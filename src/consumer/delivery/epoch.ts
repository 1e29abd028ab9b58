import type pg from 'pg';
import type { CompiledConnector } from '../../connector/compiled.ts';
import { isRootIdSql } from '../../connector/root-id.ts';
import type { DocumentVersion, Position } from '../../fastaaps/types.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { textArray } from '../text-array.ts';
import type { Acknowledgement } from './acknowledge.ts';
import type { Pending } from './pending.ts';

const VERSIONS_AT_ONCE = 1_000;

export type Standing =
  /** FASTAAPS holds exactly the changeset that it acknowledged to us last. */
  | 'equal'
  /** It holds a later one: we do not know all that was sent (a lost answer, a fresh or restored `sync`). */
  | 'ahead'
  /** It holds an earlier one or none: it was restored, emptied or is new. */
  | 'behind';

/** How FASTAAPS's position stands to what we know as acknowledged. */
export function standingOf(theirs: Position | null, delivered: Pending['delivered']): Standing {
  if (theirs === null) return 'behind';
  if (delivered === null) return 'ahead';
  const order = theirs.epoch - delivered.epoch || Number(BigInt(theirs.version) - BigInt(delivered.version));
  return order === 0 ? 'equal' : order > 0 ? 'ahead' : 'behind';
}

/** The epoch that is surely above all that FASTAAPS has: ours where it is already, else the next after both. */
export function epochAbove(ours: number, theirs: number): number {
  return ours > theirs ? ours : theirs + 1;
}

/**
 * Raises the epoch in the open transaction, after which every version we make counts as newer than all that FASTAAPS has.
 * What waits in the outbox has the old epoch: it is marked, so that the next projection gives it the new one.
 */
export async function raiseEpoch(client: pg.ClientBase, schema: string, epoch: number): Promise<void> {
  const s = quoteIdentifier(schema);
  await client.query(`UPDATE ${s}.checkpoint SET epoch = $1`, [epoch]);
  await markUnfit(client, schema);
}

/** Marks what cannot be sent as it stands in the outbox: of another epoch, or without its body. */
export async function markUnfit(client: pg.ClientBase, schema: string): Promise<void> {
  const s = quoteIdentifier(schema);
  await client.query(
    `INSERT INTO ${s}.mark (id, forced)
     SELECT o.id, true FROM ${s}.outbox AS o CROSS JOIN ${s}.checkpoint AS c
       LEFT JOIN ${s}.document_version AS v ON (v.id, v.epoch, v.version) = (o.id, o.epoch, o.version)
      WHERE o.epoch <> c.epoch OR v.id IS NULL ORDER BY o.id
     ON CONFLICT (id) DO UPDATE SET forced = true`,
  );
}

/**
 * Reads every version that FASTAAPS holds into a temporary table of the connection, `fastaaps_version`, so that the
 * comparison takes no memory here whatever the size.
 */
export async function loadVersions(client: pg.ClientBase, versions: AsyncIterable<DocumentVersion>): Promise<void> {
  await client.query(
    `DROP TABLE IF EXISTS pg_temp.fastaaps_version;
     CREATE TEMPORARY TABLE fastaaps_version (id text PRIMARY KEY, epoch integer, version numeric, etag text)`,
  );
  let batch: DocumentVersion[] = [];
  for await (const version of versions) {
    batch.push(version);
    if (batch.length < VERSIONS_AT_ONCE) continue;
    await insertVersions(client, batch);
    batch = [];
  }
  await insertVersions(client, batch);
}

async function insertVersions(client: pg.ClientBase, batch: DocumentVersion[]): Promise<void> {
  if (batch.length === 0) return;
  await client.query(
    `INSERT INTO pg_temp.fastaaps_version (id, epoch, version, etag)
     SELECT id, epoch::integer, version::numeric, etag
       FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS t (id, epoch, version, etag)`,
    [
      textArray(batch.map((version) => version.id)),
      textArray(batch.map((version) => String(version.epoch))),
      textArray(batch.map((version) => version.version)),
      textArray(batch.map((version) => version.etag)),
    ],
  );
}

/**
 * Marks every document that FASTAAPS does not hold as it acknowledged it, and those that it holds and we do not, in the
 * open transaction. What waits in the outbox, fit to be sent, is no difference; neither is what no root's id can be so
 * (001, abc where ids are whole numbers), which nobody here can delete and no projection could read.
 * @returns how many were marked
 */
export async function markDiffering(
  client: pg.ClientBase,
  schema: string,
  connector: Pick<CompiledConnector, 'root'>,
): Promise<number> {
  const s = quoteIdentifier(schema);
  const { rowCount } = await client.query(
    `INSERT INTO ${s}.mark (id, forced)
     SELECT id, true FROM ${s}.document AS d FULL JOIN pg_temp.fastaaps_version AS t USING (id)
      WHERE (d.etag IS NOT NULL OR t.etag IS NOT NULL)
        AND ${isRootIdSql(connector, 'id')}
        AND (d.accepted_epoch, d.accepted_version::numeric, d.etag) IS DISTINCT FROM (t.epoch, t.version, t.etag)
        AND NOT EXISTS (SELECT FROM ${s}.outbox AS o JOIN ${s}.checkpoint AS c USING (epoch) WHERE o.id = coalesce(d.id, t.id))
      ORDER BY id
     ON CONFLICT (id) DO UPDATE SET forced = true`,
  );
  return rowCount ?? 0;
}

/** Compares and marks in one transaction of the connection, which has the versions loaded. */
export async function markDifferences(
  client: pg.ClientBase,
  schema: string,
  connector: Pick<CompiledConnector, 'root'>,
  acknowledgement: Acknowledgement,
  raiseTo: number | null,
): Promise<number> {
  await acknowledgement.begin(client);
  if (raiseTo !== null) await raiseEpoch(client, schema, raiseTo);
  const marked = await markDiffering(client, schema, connector);
  await acknowledgement.commit(client);
  await client.query('DROP TABLE pg_temp.fastaaps_version');
  return marked;
}
