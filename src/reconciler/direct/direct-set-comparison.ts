import type { CompiledConnector } from '../../connector/compiled.ts';
import { FastaapsSet } from '../documents/fastaaps-set.ts';
import { firstTreeDifference, type JsonDifference } from '../documents/json-difference.ts';
import { type Json, parseJson } from '../documents/json-tree.ts';
import { DirectDocuments, type DirectOptions } from './direct-documents.ts';
import type { DirectSide, DocumentsOf, Held } from './direct-side.ts';
import { HeldSet } from './held-set.ts';
import { SiiraysSetDocuments } from './siirays-set-documents.ts';

/**
 * SIIRAyS's own documents against the set of today's service (adapter `restore`), which has no versions and changes values
 * when it takes them: both sides are brought to the form in which it shows documents.
 */
export class DirectSetComparison extends DirectDocuments {
  /** @throws where no field of the connector's documents shows their id */
  constructor(options: DirectOptions) {
    const { connector, syncUrl, fastaaps, onWarning } = options;
    super(options, new SetSide(connector, syncUrl, new FastaapsSet(connector, fastaaps, onWarning)));
  }
}

class SetSide implements DirectSide {
  readonly #connector: CompiledConnector;
  readonly #syncUrl: string;
  readonly #set: FastaapsSet;

  constructor(connector: CompiledConnector, syncUrl: string, set: FastaapsSet) {
    this.#connector = connector;
    this.#syncUrl = syncUrl;
    this.#set = set;
  }

  read(ids: readonly string[] | null, texts: boolean, signal: AbortSignal): Promise<Held> {
    return HeldSet.read(this.#syncUrl, this.#set, ids, texts, signal);
  }

  reading<T>(read: (documentsOf: DocumentsOf) => Promise<T>): Promise<T> {
    return read((client, roots) => new SiiraysSetDocuments(client, this.#connector, roots, this.#set));
  }

  difference(body: string | null, document: string | null): JsonDifference | null {
    const expected = body === null ? undefined : this.#set.comparable(parseJson(body));
    const held = document === null ? [] : (parseJson(document) as Json[]).map((one) => this.#set.comparable(one));
    // Several documents with one id are shown as what they are.
    return firstTreeDifference(expected, held.length > 1 ? held : held[0]);
  }
}
