/** Which set of documents: a collection's path and a db_tag, as a connector's `target` has them. */
export interface FastaapsTarget {
  /** e.g. /registro */
  path: string;
  /** e.g. sync */
  tag: string;
}

/** What a set equals: a changeset's header, and the answer of GET position. */
export interface Position {
  source: string;
  epoch: number;
  /** Decimal; compared as a number. */
  version: string;
  history: number;
  /** Decimal. */
  seq: string;
  /** The SIIRAyS commit, X/Y. */
  lsn: string;
}

/** A line of GET versions. */
export interface DocumentVersion {
  /** As text, every digit of it. */
  id: string;
  epoch: number;
  /** Decimal. */
  version: string;
  /** null for a tombstone. */
  etag: string | null;
}

/** An id and the etag of the document that FASTAAPS now holds; null: it holds a tombstone. */
export type DocumentEtag = readonly [id: string, etag: string | null];
