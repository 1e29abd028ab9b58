import type pg from 'pg';
import type { RefusedDocument } from '../../fastaaps/errors.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { TokenLost } from '../broken-history.ts';
import { textArray } from '../text-array.ts';
import type { ProjectedCommit } from './pending.ts';

/** A document as it was sent, and the etag that came back (null: a tombstone, or a service without etags). */
export interface SentDocument {
  id: string;
  /** Decimal. */
  version: string;
  etag: string | null;
}

/** A document that was refused, in the version that was sent. */
export interface RefusedVersion extends RefusedDocument {
  epoch: number;
  /** Decimal. */
  version: string;
}

/** What FASTAAPS now equals. */
export interface Delivered {
  epoch: number;
  /** Decimal. */
  version: string;
  commit: ProjectedCommit;
}

/**
 * Writes down what FASTAAPS answered, in one transaction that takes the outbox's lock first (migrations:
 * 001-bookkeeping.sql) and ends with the check of the token.
 */
export class Acknowledgement {
  private readonly s: string;
  private readonly token: string;

  constructor(schema: string, token: string) {
    this.s = quoteIdentifier(schema);
    this.token = token;
  }

  async begin(client: pg.ClientBase): Promise<void> {
    await client.query(`BEGIN; LOCK TABLE ${this.s}.outbox IN SHARE ROW EXCLUSIVE MODE`);
  }

  /** Ends the transaction, unless another process holds the token: then it is rolled back. @throws TokenLost */
  async commit(client: pg.ClientBase): Promise<void> {
    const held = await client.query(`SELECT FROM ${this.s}.checkpoint WHERE token = $1 FOR UPDATE`, [this.token]);
    await client.query(held.rowCount === 1 ? 'COMMIT' : 'ROLLBACK');
    if (held.rowCount !== 1) throw new TokenLost(`token ${this.token} is no longer valid: another consumer works`);
  }

  /**
   * These documents are at FASTAAPS. A newer version that was projected meanwhile stays in the outbox; a dead letter of
   * an older one is done with. @returns how many of the documents we know
   */
  async accept(client: pg.ClientBase, epoch: number, documents: readonly SentDocument[]): Promise<number> {
    const { s } = this;
    const { rows } = await client.query<{ accepted: number }>(
      `WITH sent AS MATERIALIZED (
         SELECT id, version::bigint AS version, etag FROM unnest($2::text[], $3::text[], $4::text[]) AS t (id, version, etag)),
       accepted AS (
         UPDATE ${s}.document AS d SET accepted_epoch = $1, accepted_version = sent.version, etag = sent.etag
           FROM sent WHERE d.id = sent.id RETURNING d.id),
       done AS (
         DELETE FROM ${s}.outbox AS o USING sent WHERE o.id = sent.id AND (o.epoch, o.version) = ($1, sent.version)),
       superseded AS (
         DELETE FROM ${s}.dead_letter AS l USING sent WHERE l.id = sent.id AND (l.epoch, l.version) < ($1, sent.version))
       SELECT count(*)::int AS accepted FROM accepted`,
      [
        epoch,
        textArray(documents.map((document) => document.id)),
        textArray(documents.map((document) => document.version)),
        textArray(documents.map((document) => document.etag)),
      ],
    );
    return rows[0]?.accepted ?? 0;
  }

  async delivered(client: pg.ClientBase, { epoch, version, commit }: Delivered): Promise<void> {
    await client.query(
      `UPDATE ${this.s}.delivery SET epoch = $1, version = $2, history = $3, seq = $4, lsn = $5::text::pg_lsn,
         committed_at = to_timestamp($6::float8 / 1000), delivered_at = clock_timestamp(),
         first_delivered_at = coalesce(first_delivered_at, clock_timestamp())`,
      [epoch, version, commit.history, commit.seq, commit.lsn, commit.committedMs],
    );
  }

  /**
   * Makes dead letters of refused documents and takes them out of the outbox. A document that has a newer version by now
   * is left alone: that one will be sent.
   * @returns the ids that became dead letters
   */
  async bury(client: pg.ClientBase, refused: readonly RefusedVersion[]): Promise<string[]> {
    const { s } = this;
    const { rows } = await client.query<{ id: string }>(
      `WITH refused AS MATERIALIZED (
         SELECT t.id, d.epoch, d.version, t.path, t.detail
           FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS t (id, epoch, version, path, detail)
           JOIN ${s}.document AS d ON (d.id, d.epoch, d.version) = (t.id, t.epoch::integer, t.version::bigint)),
       gone AS (
         DELETE FROM ${s}.outbox AS o USING refused AS r WHERE (o.id, o.epoch, o.version) = (r.id, r.epoch, r.version))
       INSERT INTO ${s}.dead_letter (id, epoch, version, reason, path, detail)
       SELECT id, epoch, version, 'refused', path, detail::jsonb FROM refused
       ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, version = excluded.version, reason = excluded.reason,
         path = excluded.path, detail = excluded.detail, created_at = now(), published = false,
         discarded_at = NULL, discarded_by = NULL
       RETURNING id`,
      [
        textArray(refused.map((document) => document.id)),
        textArray(refused.map((document) => String(document.epoch))),
        textArray(refused.map((document) => document.version)),
        textArray(refused.map((document) => storable(document.path) || null)),
        textArray(refused.map(({ reason, detail }) => storableJson({ reason, detail }))),
      ],
    );
    return rows.map((row) => row.id);
  }

  /** The accepted versions of these dead letters are not accepted any more. */
  async forget(client: pg.ClientBase, ids: readonly string[]): Promise<void> {
    await client.query(
      `UPDATE ${this.s}.document SET accepted_epoch = NULL, accepted_version = NULL, etag = NULL WHERE id = ANY ($1)`,
      [ids],
    );
  }
}

/** What the service says may quote what PostgreSQL cannot hold: U+0000, and halves of surrogate pairs. */
function storable(text: string): string {
  return text.replaceAll('\0', '').toWellFormed();
}

function storableJson(value: unknown): string {
  return JSON.stringify(value, (_name, part: unknown) => (typeof part === 'string' ? storable(part) : part));
}
