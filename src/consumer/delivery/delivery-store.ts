import type { RefusedDocument } from '../../fastaaps/errors.ts';
import type { DocumentEtag, DocumentVersion } from '../../fastaaps/types.ts';
import type { Delivered } from './acknowledge.ts';
import type { Round } from './delivery.ts';
import type { Pending } from './pending.ts';
import type { Deliverable } from './snapshot-round.ts';

/** What the adapter `changes` reads and writes of the bookkeeping; each call that writes is a transaction of its own. */
export interface DeliveryStore {
  pending(): Promise<Pending>;
  /** Raises the epoch; what waits in the outbox with an older one is marked. */
  raiseEpoch(epoch: number): Promise<void>;
  /** Marks what cannot be sent as it stands in the outbox. */
  markUnfit(): Promise<void>;
  /**
   * Marks every document that FASTAAPS does not hold as it acknowledged it, raising the epoch before where asked to.
   * @returns how many were marked
   */
  markDifferences(versions: AsyncIterable<DocumentVersion>, raiseTo: number | null): Promise<number>;
  /** Delivers from one snapshot; idle where nothing was projected. @throws TokenLost where another process works now */
  round(deliver: (snapshot: DeliverySnapshot) => Promise<Round>): Promise<Round>;
}

/** The bookkeeping as of one moment, until its round ends. */
export interface DeliverySnapshot {
  pending: Deliverable;
  /** The changeset's lines, ordered by id. */
  lines(): AsyncIterable<string>;
  /** A version above all others. */
  nextVersion(): Promise<string>;
  /** Writes down what FASTAAPS answers to a changeset of this snapshot. */
  answer(epoch: number): AnswerWriter;
  /** Makes dead letters of what FASTAAPS refused. */
  bury(epoch: number, refused: readonly RefusedDocument[]): Promise<void>;
}

/** Writes the etags down as they come, in one transaction that begins with the first of them. */
export interface AnswerWriter {
  /** Documents that the answer has listed so far. */
  readonly documents: number;
  write(etags: readonly DocumentEtag[]): Promise<void>;
  finish(delivered: Delivered): Promise<void>;
  /** Writes nothing down. Also after `finish`, without effect. */
  giveUp(): void;
}
