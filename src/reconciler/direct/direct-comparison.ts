import { idPathOf } from '../documents/id-path.ts';
import { firstDifference, type JsonDifference } from '../documents/json-difference.ts';
import { DirectDocuments, type DirectOptions } from './direct-documents.ts';
import type { DirectSide, DocumentsOf, Held } from './direct-side.ts';
import { isNoJsonb } from './document-hash.ts';
import { HeldDocuments } from './held-documents.ts';
import { type HashForm, SiiraysDocuments } from './siirays-documents.ts';

/**
 * SIIRAyS's own documents against those of a service that keeps them as they are, with versions (adapter `changes`). A scan
 * compares hashes that PostgreSQL computes on both sides, and a difference of them is a suspicion; `look` compares by value.
 */
export class DirectComparison extends DirectDocuments {
  constructor(options: DirectOptions) {
    super(options, new VersionsSide(options));
  }
}

class VersionsSide implements DirectSide {
  readonly #options: DirectOptions;
  #warned = false;

  constructor(options: DirectOptions) {
    this.#options = options;
  }

  read(ids: readonly string[] | null, texts: boolean, signal: AbortSignal): Promise<Held> {
    const { connector, syncUrl, fastaaps } = this.#options;
    const options = { syncUrl, fastaaps, target: connector.target, idPath: idPathOf(connector), signal };
    return HeldDocuments.read(options, ids, texts);
  }

  /** With comparable hashes, unless a document is one that jsonb cannot hold: then whole texts are held against each other. */
  async reading<T>(read: (documentsOf: DocumentsOf) => Promise<T>): Promise<T> {
    const { connector, onWarning } = this.#options;
    const as =
      (form: HashForm): DocumentsOf =>
      (client, roots) =>
        new SiiraysDocuments(client, connector, roots, form);
    try {
      return await read(as('jsonb'));
    } catch (error) {
      if (!isNoJsonb(error)) throw error;
      if (!this.#warned) onWarning('a document holds JSON that jsonb cannot hold: it is compared as it is written');
      this.#warned = true;
      return read(as('text'));
    }
  }

  difference(body: string | null, document: string | null): JsonDifference | null {
    return firstDifference(body, document);
  }
}
