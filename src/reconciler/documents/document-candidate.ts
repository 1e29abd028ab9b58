import type { Candidate } from '../comparison.ts';

export type DocumentKind = 'projection' | 'undelivered' | 'document' | 'dead_letter';

/** A document that looked different once; its key is its id. */
export interface DocumentCandidate extends Candidate {
  readonly kind: DocumentKind;
}
