import type pg from 'pg';
import { FastaapsError, type RefusedDocument } from '../../fastaaps/errors.ts';
import { withConnection } from '../../postgres/borrowed-connection.ts';
import { cursorRows } from '../../postgres/cursor-rows.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { Acknowledgement, type SentDocument } from './acknowledge.ts';
import type { DeliveryAdapter, DeliveryContext, Round } from './delivery.ts';
import type { Pending } from './pending.ts';
import { logRefused, unknownDocuments } from './refused-documents.ts';
import { reportDelivered } from './report.ts';
import { type Deliverable, roundFromSnapshot } from './snapshot-round.ts';

/** Where only the commit has moved there is nothing to send; it is written down at most this often. */
const EMPTY_INTERVAL_MS = 1_000;

/**
 * The adapter `restore`: today's service takes whole sets only. The set is sent when something changed, at most every
 * `restoreIntervalMs`. A document with a dead letter keeps its last accepted version; one that has none is left out.
 */
export class RestoreDelivery implements DeliveryAdapter {
  private readonly context: DeliveryContext;
  private readonly acknowledgement: Acknowledgement;
  private readonly s: string;
  private lastSentAt = Number.NEGATIVE_INFINITY;
  private lastMovedAt = Number.NEGATIVE_INFINITY;

  constructor(context: DeliveryContext) {
    this.context = context;
    this.acknowledgement = new Acknowledgement(context.schema, context.token);
    this.s = quoteIdentifier(context.schema);
  }

  async round(): Promise<Round> {
    return roundFromSnapshot(this.context, (client, pending) => this.fromSnapshot(client, pending));
  }

  private async fromSnapshot(client: pg.ClientBase, pending: Deliverable): Promise<Round> {
    const { projected, delivered } = pending;
    const now = performance.now();
    if (pending.documents > 0 || delivered === null) {
      const wait = this.lastSentAt + this.context.restoreIntervalMs - now;
      if (wait > 0) return { kind: 'later', ms: wait };
      await this.send(client, pending);
      return { kind: 'again' };
    }
    if (delivered.history === projected.history && delivered.seq === projected.seq) return { kind: 'idle' };
    const wait = this.lastMovedAt + EMPTY_INTERVAL_MS - now;
    if (wait > 0) return { kind: 'later', ms: wait };
    this.lastMovedAt = now;
    await this.accept(client, pending);
    return { kind: 'again' };
  }

  private async send(snapshot: pg.ClientBase, pending: Pending): Promise<void> {
    const { client: fastaaps, connector, signal } = this.context;
    const started = performance.now();
    try {
      const set = cursorRows<{ id: string; text: string }>(snapshot, this.setSql(), [], (row) => row.text.length);
      const { bytes } = await fastaaps.restoreSet(connector.target, set, { signal });
      await this.accept(snapshot, pending);
      this.lastSentAt = started;
      reportDelivered(this.context, pending, { ignored: 0, bytes, ms: performance.now() - started });
    } catch (error) {
      if (!(error instanceof FastaapsError) || error.kind !== 'refused') throw error;
      await this.bury(snapshot, error.refused);
    }
  }

  /** What the set is to hold: the newest version, or the last accepted one where the newest is a dead letter. */
  private setSql(): string {
    const { s } = this;
    return `SELECT d.id, v.body AS text
      FROM ${s}.document AS d
      LEFT JOIN ${s}.dead_letter AS l ON (l.id, l.epoch, l.version) = (d.id, d.epoch, d.version)
      JOIN ${s}.document_version AS v ON v.id = d.id
       AND v.epoch = CASE WHEN l.id IS NULL THEN d.epoch ELSE d.accepted_epoch END
       AND v.version = CASE WHEN l.id IS NULL THEN d.version ELSE d.accepted_version END
     WHERE v.body IS NOT NULL ORDER BY d.id`;
  }

  /** Everything that was in the outbox of the snapshot is at FASTAAPS now; this service has no etags. */
  private async accept(snapshot: pg.ClientBase, pending: Pending): Promise<void> {
    const commit = pending.projected;
    if (commit === null) return;
    await withConnection(this.context.pool, async (client) => {
      await this.acknowledgement.begin(client);
      for await (const [epoch, documents] of this.sentDocuments(snapshot)) {
        await this.acknowledgement.accept(client, epoch, documents);
      }
      const version = pending.version ?? pending.delivered?.version ?? '0';
      await this.acknowledgement.delivered(client, { epoch: pending.epoch, version, commit });
      await this.acknowledgement.commit(client);
    });
  }

  /** The snapshot's outbox in portions of one epoch each. */
  private async *sentDocuments(snapshot: pg.ClientBase): AsyncGenerator<[epoch: number, SentDocument[]]> {
    const sql = `SELECT id, epoch, version::text AS version FROM ${this.s}.outbox ORDER BY epoch, id`;
    let portion: SentDocument[] = [];
    let epoch = 0;
    for await (const row of cursorRows<{ id: string; epoch: number; version: string }>(snapshot, sql, [], () => 100)) {
      if (portion.length > 0 && (row.epoch !== epoch || portion.length >= 1_000)) {
        yield [epoch, portion];
        portion = [];
      }
      epoch = row.epoch;
      portion.push({ id: row.id, version: row.version, etag: null });
    }
    if (portion.length > 0) yield [epoch, portion];
  }

  /**
   * Makes dead letters of the refused documents. What was refused of a dead letter is its last accepted version, which
   * then is accepted no more: the document is left out of the set until it changes.
   */
  private async bury(snapshot: pg.ClientBase, refused: readonly RefusedDocument[]): Promise<void> {
    const { rows } = await snapshot.query<{ id: string; epoch: number; version: string; dead: boolean }>(
      `SELECT d.id, d.epoch, d.version::text AS version, l.id IS NOT NULL AS dead
         FROM ${this.s}.document AS d
         LEFT JOIN ${this.s}.dead_letter AS l ON (l.id, l.epoch, l.version) = (d.id, d.epoch, d.version)
        WHERE d.id = ANY ($1)`,
      [refused.map((document) => document.id)],
    );
    if (rows.length === 0) throw unknownDocuments(refused);
    const byId = new Map(refused.map((document) => [document.id, document]));
    const fresh = rows.filter((row) => !row.dead).map((row) => ({ ...row, ...byId.get(row.id)! }));
    const dead = rows.filter((row) => row.dead).map((row) => row.id);
    await withConnection(this.context.pool, async (client) => {
      await this.acknowledgement.begin(client);
      await this.acknowledgement.bury(client, fresh);
      await this.acknowledgement.forget(client, dead);
      await this.acknowledgement.commit(client);
    });
    logRefused(
      this.context,
      refused,
      rows.map((row) => row.id),
    );
  }
}
