import { createHash } from 'node:crypto';

/** A FASTAAPS set: per document a hash of its canonical text. */
export type Documents = Record<string, string>;

/** Per table the order-free sum of its rows. */
export type Sums = Record<string, string>;

/** The line of the history file that says which seed and what start it belongs to. LSNs are PostgreSQL's text. */
export interface StartRecord {
  kind: 'start';
  seed: number;
  minutes: number;
  lsn: string;
}

/** A transaction that SIIRAyS committed, told by the witness, in commit order. */
export interface CommitRecord {
  kind: 'commit';
  n: number;
  xid: string;
  lsn: string;
}

interface Observed {
  /** Milliseconds since the storm began. */
  at: number;
  history: number;
  seq: string;
  lsn: string;
}

/** What FASTAAPS showed at one moment. */
export interface FastaapsRecord extends Observed {
  kind: 'fastaaps';
  documents: Documents;
}

/** What the replica held at one moment, in one snapshot with its checkpoint. */
export interface ReplicaRecord extends Observed {
  kind: 'replica';
  tables: Sums;
}

/** Versions of FASTAAPS's documents: [epoch, version] by id. */
export interface VersionsRecord {
  kind: 'versions';
  at: number;
  versions: Record<string, [number, string]>;
}

/** SIIRAyS as of the commit that a reader saw: computed from the witness's commits alone. */
export type TruthRecord =
  | { kind: 'truth'; of: 'fastaaps'; lsn: string; documents: Documents }
  | { kind: 'truth'; of: 'replica'; lsn: string; tables: Sums };

/** FASTAAPS was made to refuse this document (422): until a newer version comes it may stand as it was. */
export interface RefusedRecord {
  kind: 'refused';
  at: number;
  id: string;
  /** Of the changeset that was to bring it. */
  lsn: string;
}

/** A fault, with its number in the plan. */
export interface FaultRecord {
  kind: 'fault';
  at: number;
  step: number;
  fault: string;
  detail: Record<string, unknown>;
}

export type HistoryRecord =
  | StartRecord
  | CommitRecord
  | FastaapsRecord
  | ReplicaRecord
  | VersionsRecord
  | TruthRecord
  | RefusedRecord
  | FaultRecord;

/** A document's canonical text as the history keeps it. */
export function documentHash(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 16);
}
