import type pg from 'pg';
import type { JsonDifference } from '../documents/json-difference.ts';
import type { Seen } from './direct-candidate.ts';
import type { SiiraysRoots } from './siirays-roots.ts';

/** A document of SIIRAyS that is held against FASTAAPS's. */
export interface Given {
  id: string;
  /** Null: SIIRAyS has no such root. */
  hash: string | null;
  problem: string | null;
}

export interface GivenText extends Given {
  /** JSON text; null: SIIRAyS has no such root. */
  body: string | null;
}

/** Seen with what FASTAAPS holds as JSON text, null where it holds nothing. */
export interface SeenText extends Seen {
  document: string | null;
}

/** SIIRAyS's own documents of some roots in one snapshot, one for each id, which must be there. */
export interface GivenDocuments {
  hashes(ids: readonly string[]): Promise<Given[]>;
  /** The documents too, as fast as they are taken. */
  texts(ids: readonly string[]): AsyncGenerator<GivenText>;
}

export type DocumentsOf = (client: pg.ClientBase, roots: SiiraysRoots) => GivenDocuments;

/** What FASTAAPS holds, as it was when it was read. */
export interface Held {
  /** How many documents FASTAAPS has of those that were asked for. */
  count(): Promise<number>;
  /** Those of SIIRAyS's documents whose hash is not that of FASTAAPS's. They are taken out of what `remaining` gives. */
  differing(given: readonly Given[]): Promise<Seen[]>;
  /** Which of some ids FASTAAPS knows, deleted ones included; to be asked before `differing` is. */
  known(ids: readonly string[]): Promise<string[]>;
  /** Documents of FASTAAPS that no call of `differing` named, by their ids' bytes. */
  remaining(after: string | null, limit: number): Promise<Seen[]>;
  /** Those of SIIRAyS's documents that are not equal to FASTAAPS's, where texts were read. Each id is given once. */
  differingTexts(given: readonly GivenText[]): Promise<SeenText[]>;
  close(): Promise<void>;
}

/** How documents of SIIRAyS and of FASTAAPS are made comparable: as they are, or as a service changes them. */
export interface DirectSide {
  /**
   * Reads what FASTAAPS holds into temporary tables: the memory here does not grow with the set.
   * @param ids only these documents; null: all
   * @param texts whether the documents themselves are kept too, for `differingTexts`
   */
  read(ids: readonly string[] | null, texts: boolean, signal: AbortSignal): Promise<Held>;
  /** Gives `read` the way to SIIRAyS's documents; calls it again where these ask for another way. */
  reading<T>(read: (documentsOf: DocumentsOf) => Promise<T>): Promise<T>;
  /** Where SIIRAyS's document and what `differingTexts` gave differ; null where nothing differs after all. */
  difference(body: string | null, document: string | null): JsonDifference | null;
}
