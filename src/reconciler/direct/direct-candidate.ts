import type { Candidate } from '../comparison.ts';

export interface DirectCandidate extends Candidate {
  readonly kind: 'document' | 'dead_letter';
  /** The first required field that SIIRAyS's rows lack; null for a document that can be sent. */
  readonly problem: string | null;
}

/** What was seen of one document on both sides. */
export interface Seen {
  id: string;
  /** Of SIIRAyS's document; null where there is no such root. */
  hash: string | null;
  problem: string | null;
  /** Of the document that FASTAAPS holds; null: none; '': it was not there any more when it was asked for. */
  held: string | null;
  /** Epoch and decimal version that FASTAAPS has for it, tombstones included; null: it never heard of it. */
  epoch: string | null;
  version: string | null;
}

export function candidateOf({ id, hash, problem, held, epoch, version }: Seen): DirectCandidate {
  return {
    key: id,
    pair: JSON.stringify([hash, held, epoch, version]),
    pending: false,
    kind: problem === null ? 'document' : 'dead_letter',
    problem,
  };
}
