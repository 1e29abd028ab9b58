import { isDeepStrictEqual } from 'node:util';
import { FastaapsError } from '../../fastaaps/errors.ts';
import type { DocumentEtag, Position } from '../../fastaaps/types.ts';
import type { DeliveryAdapter, DeliveryContext, Round } from './delivery.ts';
import type { DeliverySnapshot, DeliveryStore } from './delivery-store.ts';
import { EpochGuard } from './epoch-guard.ts';
import { reportDelivered } from './report.ts';

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
  private readonly store: DeliveryStore;
  private readonly now: () => number;
  private readonly guard: EpochGuard;
  private lastSentAt = Number.NEGATIVE_INFINITY;
  /** Changesets of which we do not know whether they were applied, the newest last. */
  private uncertain: Attempt[] = [];
  /** Documents were ignored that should not have been: not before the epoch is raised is anything sent. */
  private ignoredUnexpectedly = 0;

  /** @param now monotonic time, milliseconds */
  constructor(context: DeliveryContext, store: DeliveryStore, now = () => performance.now()) {
    this.context = context;
    this.store = store;
    this.now = now;
    this.guard = new EpochGuard(context, store, now);
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
    return this.store.round(async (snapshot) => this.fromSnapshot(snapshot, await theirs));
  }

  private async fromSnapshot(snapshot: DeliverySnapshot, theirs: Position | null): Promise<Round> {
    const { pending } = snapshot;
    const { projected, delivered } = pending;
    if (this.guard.hasStrayed(theirs, delivered, this.attemptAt(theirs) !== undefined)) return { kind: 'again' };
    if (!(await this.guard.fit(pending))) return { kind: 'idle' };
    if (pending.documents === 0) {
      const same =
        delivered?.history === projected.history &&
        delivered.seq === projected.seq &&
        delivered.epoch === pending.epoch;
      if (same) return { kind: 'idle' };
      const wait = this.lastSentAt + EMPTY_INTERVAL_MS - this.now();
      if (wait > 0) return { kind: 'later', ms: wait };
    }
    await this.send(snapshot, {
      source: this.context.source,
      epoch: pending.epoch,
      version: pending.version ?? (await this.versionOfEmpty(snapshot)),
      history: projected.history,
      seq: projected.seq,
      lsn: projected.lsn,
    });
    return { kind: 'again' };
  }

  /** Of an empty changeset the last version; after a new history one of its own, since its seq may be lower. */
  private async versionOfEmpty({ pending, nextVersion }: DeliverySnapshot): Promise<string> {
    const { delivered, projected } = pending;
    if (delivered === null) return '0';
    return delivered.history === projected.history ? delivered.version : nextVersion();
  }

  private async send(snapshot: DeliverySnapshot, header: Position): Promise<void> {
    const { client: fastaaps, connector, signal } = this.context;
    const { pending } = snapshot;
    const expected = await this.expectedToBeIgnored();
    const started = this.now();
    this.lastSentAt = started;
    const answer = snapshot.answer(header.epoch);
    try {
      const onEtags = (etags: DocumentEtag[]): Promise<void> => answer.write(etags);
      const result = await fastaaps.postChanges(connector.target, header, snapshot.lines(), onEtags, { signal });
      if (result.ignored > expected) {
        answer.giveUp();
        this.ignoredUnexpectedly = result.ignored;
        return;
      }
      checkAnswer(answer.documents, result, pending.documents);
      await answer.finish({ epoch: header.epoch, version: header.version, commit: pending.projected });
      this.uncertain = [];
      this.guard.acknowledged();
      reportDelivered(this.context, pending, { ...result, ms: this.now() - started });
    } catch (error) {
      answer.giveUp();
      if (error instanceof FastaapsError && error.kind === 'refused') {
        await snapshot.bury(header.epoch, error.refused);
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
    return this.attemptAt(theirs)?.documents ?? 0;
  }

  /** The attempt that FASTAAPS stands at, of those whose outcome we did not learn. */
  private attemptAt(theirs: Position | null): Attempt | undefined {
    return this.uncertain.findLast(({ header }) => isDeepStrictEqual(header, theirs));
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
