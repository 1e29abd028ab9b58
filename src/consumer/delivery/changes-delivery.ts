import { isDeepStrictEqual } from 'node:util';
import type pg from 'pg';
import { FastaapsError } from '../../fastaaps/errors.ts';
import type { DocumentEtag, Position } from '../../fastaaps/types.ts';
import { borrow, type Lent } from '../../postgres/borrowed-connection.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { Acknowledgement, type SentDocument } from './acknowledge.ts';
import { changesetLines } from './changeset-lines.ts';
import type { DeliveryAdapter, DeliveryContext, Round } from './delivery.ts';
import { EpochGuard } from './epoch-guard.ts';
import type { Pending } from './pending.ts';
import { buryRefused } from './refused-documents.ts';
import { reportDelivered } from './report.ts';
import { type Deliverable, roundFromSnapshot } from './snapshot-round.ts';

/** Empty changesets, which only say that FASTAAPS equals a later commit, go at most this often. */
const EMPTY_INTERVAL_MS = 1_000;
/** Attempts whose outcome is unknown; of more than these in a row only the newest can be what FASTAAPS holds. */
const REMEMBERED = 20;

/**
 * The adapter `changes`: all that is pending at the last projected commit goes as one changeset, atomically. It is made
 * from one snapshot of the bookkeeping, which stays open until its answer is written down, so that an etag finds the
 * version that was sent. Nothing is ever held whole in memory.
 */
export class ChangesDelivery implements DeliveryAdapter {
  private readonly context: DeliveryContext;
  private readonly acknowledgement: Acknowledgement;
  private readonly guard: EpochGuard;
  private lastSentAt = Number.NEGATIVE_INFINITY;
  /** Changesets of which we do not know whether they were applied, the newest last. */
  private uncertain: Attempt[] = [];
  /** Documents were ignored that should not have been: not before the epoch is raised is anything sent. */
  private ignoredUnexpectedly = 0;

  constructor(context: DeliveryContext) {
    this.context = context;
    this.acknowledgement = new Acknowledgement(context.schema, context.token);
    this.guard = new EpochGuard(context, this.acknowledgement);
  }

  async round(): Promise<Round> {
    if (!(await this.guard.check())) return { kind: 'idle' };
    if (this.ignoredUnexpectedly > 0) {
      await this.guard.unexpectedlyIgnored(this.ignoredUnexpectedly);
      this.ignoredUnexpectedly = 0;
      this.uncertain = [];
    }
    const { client: fastaaps, connector, signal } = this.context;
    // Beside what takes as long: deliveries need not wait for it.
    const theirs = fastaaps.getPosition(connector.target, { signal });
    theirs.catch(() => undefined);
    return roundFromSnapshot(this.context, async (client, pending) => this.fromSnapshot(client, pending, await theirs));
  }

  private async fromSnapshot(client: pg.ClientBase, pending: Deliverable, theirs: Position | null): Promise<Round> {
    const { projected, delivered } = pending;
    if (this.guard.hasStrayed(theirs, delivered, this.uncertain.length > 0)) return { kind: 'again' };
    if (!(await this.guard.fit(pending))) return { kind: 'idle' };
    if (pending.documents === 0) {
      const same =
        delivered?.history === projected.history &&
        delivered.seq === projected.seq &&
        delivered.epoch === pending.epoch;
      if (same) return { kind: 'idle' };
      const wait = this.lastSentAt + EMPTY_INTERVAL_MS - performance.now();
      if (wait > 0) return { kind: 'later', ms: wait };
    }
    await this.send(client, pending, {
      source: this.context.source,
      epoch: pending.epoch,
      version: pending.version ?? (await this.versionOfEmpty(client, pending)),
      history: projected.history,
      seq: projected.seq,
      lsn: projected.lsn,
    });
    return { kind: 'again' };
  }

  /** Of an empty changeset the last version; after a new history one of its own, since its seq may be lower. */
  private async versionOfEmpty(client: pg.ClientBase, { delivered, projected }: Pending): Promise<string> {
    if (delivered === null) return '0';
    if (delivered.history === projected?.history) return delivered.version;
    const sequence = `${quoteIdentifier(this.context.schema)}.outbox_version`;
    const { rows } = await client.query<{ version: string }>('SELECT nextval($1::text::regclass)::text AS version', [
      sequence,
    ]);
    return rows[0]?.version ?? '0';
  }

  private async send(snapshot: pg.ClientBase, pending: Pending, header: Position): Promise<void> {
    const { client: fastaaps, connector, schema, signal } = this.context;
    const expected = await this.expectedToBeIgnored();
    const started = performance.now();
    this.lastSentAt = started;
    const answer = new AnswerWriter(this.context, this.acknowledgement, snapshot, header.epoch);
    try {
      const lines = changesetLines(snapshot, schema, connector.root.idType);
      const onEtags = (etags: DocumentEtag[]): Promise<void> => answer.write(etags);
      const result = await fastaaps.postChanges(connector.target, header, lines, onEtags, { signal });
      if (result.ignored > expected) {
        answer.giveUp();
        this.ignoredUnexpectedly = result.ignored;
        return;
      }
      checkAnswer(answer.documents, result, pending.documents);
      await answer.finish({ epoch: header.epoch, version: header.version, commit: pending.projected! });
      this.uncertain = [];
      reportDelivered(this.context, pending, { ...result, ms: performance.now() - started });
    } catch (error) {
      answer.giveUp();
      if (error instanceof FastaapsError && error.kind === 'refused') {
        await buryRefused(this.context, this.acknowledgement, snapshot, header.epoch, error.refused);
        return;
      }
      const sure = error instanceof FastaapsError && !error.outcomeUnknown;
      if (!sure) this.uncertain = [...this.uncertain, { header, documents: pending.documents }].slice(-REMEMBERED);
      throw error;
    }
  }

  /**
   * How many documents may be ignored because they are there already: those of a changeset whose answer was lost, if it
   * is the one that FASTAAPS says it holds. Each changeset holds all of those before it that were not acknowledged.
   */
  private async expectedToBeIgnored(): Promise<number> {
    if (this.uncertain.length === 0) return 0;
    const { client: fastaaps, connector, signal } = this.context;
    const theirs = await fastaaps.getPosition(connector.target, { signal });
    const arrived = this.uncertain.findLast(({ header }) => theirs !== null && isDeepStrictEqual(header, theirs));
    return arrived?.documents ?? 0;
  }
}

interface Attempt {
  header: Position;
  documents: number;
}

/** An answer that does not list what was sent is none; asking again is all that can be done. */
function checkAnswer(listed: number, { applied, ignored }: { applied: number; ignored: number }, sent: number): void {
  if (listed === sent && applied + ignored === sent) return;
  const said = `applied ${applied}, ignored ${ignored}, etags of ${listed}`;
  throw new FastaapsError('retry', `FASTAAPS's answer does not fit the ${sent} documents sent: ${said}`, {
    outcomeUnknown: true,
  });
}

/** Writes the etags down as they come, in one transaction that begins with the first of them. */
class AnswerWriter {
  documents = 0;
  private readonly context: DeliveryContext;
  private readonly acknowledgement: Acknowledgement;
  private readonly snapshot: pg.ClientBase;
  private readonly epoch: number;
  private lent: Lent | undefined;

  constructor(context: DeliveryContext, acknowledgement: Acknowledgement, snapshot: pg.ClientBase, epoch: number) {
    this.context = context;
    this.acknowledgement = acknowledgement;
    this.snapshot = snapshot;
    this.epoch = epoch;
  }

  async write(etags: readonly DocumentEtag[]): Promise<void> {
    const sent = await this.sent(etags);
    this.documents += sent.length;
    await this.acknowledgement.accept(await this.connection(), this.epoch, sent);
  }

  async finish(delivered: Parameters<Acknowledgement['delivered']>[1]): Promise<void> {
    const client = await this.connection();
    await this.acknowledgement.delivered(client, delivered);
    await this.acknowledgement.commit(client);
    this.lent?.release();
    this.lent = undefined;
  }

  /** Writes nothing down. Also after `finish`, without effect. */
  giveUp(): void {
    this.lent?.release(true);
    this.lent = undefined;
  }

  private async connection(): Promise<pg.PoolClient> {
    if (this.lent) return this.lent.client;
    this.lent = await borrow(this.context.pool);
    await this.acknowledgement.begin(this.lent.client);
    return this.lent.client;
  }

  /** The versions that were sent, from the snapshot that they were sent from. */
  private async sent(etags: readonly DocumentEtag[]): Promise<SentDocument[]> {
    const byId = new Map(etags);
    const { rows } = await this.snapshot.query<{ id: string; version: string }>(
      `SELECT id, version::text AS version FROM ${quoteIdentifier(this.context.schema)}.outbox WHERE id = ANY ($1)`,
      [[...byId.keys()]],
    );
    return rows.map(({ id, version }) => ({ id, version, etag: byId.get(id) ?? null }));
  }
}
