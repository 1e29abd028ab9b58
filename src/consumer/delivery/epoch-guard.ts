import type { Position } from '../../fastaaps/types.ts';
import type { DeliveryContext } from './delivery.ts';
import type { DeliveryStore } from './delivery-store.ts';
import { epochAbove, standingOf } from './epoch.ts';
import type { Pending } from './pending.ts';

/** How long deliveries wait for marks to be projected: an incomplete row may keep one from it for long. */
const MARKS_PATIENCE_MS = 10_000;

/**
 * Sees to it that every version we send is above what FASTAAPS has, and that nothing which FASTAAPS holds otherwise than
 * we believe stays so. Asks at the start of every process, since `sync` may be new or restored, or the last answer lost.
 */
export class EpochGuard {
  private readonly context: DeliveryContext;
  private readonly store: DeliveryStore;
  private readonly now: () => number;
  private checked = false;
  private raised = false;
  /** Until when marks that we have made are waited for. */
  private awaitMarksUntil: number | undefined;
  /** The position that FASTAAPS told when it was compared: it says the same until the next changeset. */
  private compared: string | undefined;

  /** @param now monotonic time, milliseconds */
  constructor(context: DeliveryContext, store: DeliveryStore, now: () => number) {
    this.context = context;
    this.store = store;
    this.now = now;
  }

  /** True once it is known how FASTAAPS stands to us. Before the first projection there is nothing to compare. */
  async check(): Promise<boolean> {
    if (this.checked) return true;
    const { client: fastaaps, connector, signal } = this.context;
    const pending = await this.store.pending();
    if (this.raised && pending.projected === null) return false;
    const theirs = await fastaaps.getPosition(connector.target, { signal });
    const standing = standingOf(theirs, pending.delivered);
    if (theirs && standing === 'ahead' && theirs.epoch >= pending.epoch)
      await this.raise(epochAbove(pending.epoch, theirs.epoch));
    this.raised = true;
    if (pending.projected === null) return false;
    if (standing !== 'equal') await this.compare(standing, null);
    this.compared = JSON.stringify(theirs);
    this.checked = true;
    return true;
  }

  /**
   * Whether FASTAAPS stands elsewhere than at the changeset that it acknowledged last: it was restored or emptied while we
   * work, or another has written. Then the next check compares all. Each changeset hides where it came upon such a set,
   * so that this is asked before every one.
   * @param isOurs whether it is the position of a changeset of ours whose outcome we did not learn
   */
  hasStrayed(theirs: Position | null, delivered: Pending['delivered'], isOurs: boolean): boolean {
    const { health, log, counters } = this.context;
    const standing = standingOf(theirs, delivered);
    if (standing === 'equal') {
      this.compared = undefined;
      health.ready('documents', true);
      return false;
    }
    if (standing === 'ahead' && isOurs) return false;
    if (this.compared === JSON.stringify(theirs)) return false;
    const reason =
      theirs === null
        ? 'FASTAAPS has been emptied'
        : `FASTAAPS is ${standing} of what it acknowledged: it was ${standing === 'behind' ? 'restored' : 'written by another'}`;
    health.ready('documents', false, `${reason}; its documents are compared and mended`);
    counters.strayed.inc();
    log.warn({ event: 'fastaaps_strayed', standing, theirs, delivered }, reason);
    this.checked = false;
    this.raised = false;
    return true;
  }

  /** FASTAAPS acknowledged a changeset: should it stand again where it was compared, it has been put back since. */
  acknowledged(): void {
    this.compared = undefined;
  }

  /** FASTAAPS ignored what it should not have: our versions are not above its own. */
  async unexpectedlyIgnored(ignored: number): Promise<void> {
    const { client: fastaaps, connector, signal } = this.context;
    const theirs = await fastaaps.getPosition(connector.target, { signal });
    const pending = await this.store.pending();
    await this.compare(`${ignored} documents ignored`, Math.max(pending.epoch, theirs?.epoch ?? 0) + 1);
    this.compared = JSON.stringify(theirs);
  }

  /** Whether what is pending can go as it stands. What cannot is marked, and gets new versions by the next projection. */
  async fit(pending: Pending): Promise<boolean> {
    if (pending.unfit > 0) {
      await this.store.markUnfit();
      this.awaitMarks();
      return false;
    }
    if (this.awaitMarksUntil === undefined) return true;
    if (pending.forcedMarks > 0 && this.now() < this.awaitMarksUntil) return false;
    this.awaitMarksUntil = undefined;
    return true;
  }

  private async raise(epoch: number): Promise<void> {
    await this.store.raiseEpoch(epoch);
    this.logRaised(epoch, 'FASTAAPS is ahead of what it acknowledged');
  }

  private async compare(why: string, raiseTo: number | null): Promise<void> {
    const { client: fastaaps, connector, signal, log, health } = this.context;
    const versions = fastaaps.getVersions(connector.target, { signal });
    const marked = await this.store.markDifferences(versions, raiseTo);
    if (raiseTo !== null) this.logRaised(raiseTo, why);
    log.info({ event: 'documents_compared', why, marked }, 'compared with what FASTAAPS holds');
    if (marked === 0) health.ready('documents', true);
    this.awaitMarks();
  }

  private logRaised(epoch: number, why: string): void {
    this.context.counters.epochsRaised.inc();
    this.context.log.warn({ event: 'epoch_raised', epoch, why }, 'versions of a new epoch are above all others');
  }

  private awaitMarks(): void {
    this.awaitMarksUntil = this.now() + MARKS_PATIENCE_MS;
    this.context.onMarked();
  }
}
