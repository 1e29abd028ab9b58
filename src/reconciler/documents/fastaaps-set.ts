import { hash } from 'node:crypto';
import type pg from 'pg';
import type { CompiledConnector } from '../../connector/compiled.ts';
import { textArray } from '../../consumer/text-array.ts';
import type { FastaapsClient } from '../../fastaaps/client.ts';
import { memberTexts } from '../../fastaaps/json-text.ts';
import { idPathOf } from './id-path.ts';
import { type Json, parseJson } from './json-tree.ts';
import { portions } from './portions.ts';
import { todayDocument, todayText } from './today-document.ts';

export interface SetDocument {
  readonly id: string;
  /** Of the document in the form in which documents are compared. */
  readonly hash: string;
  /** JSON text as FASTAAPS shows it. */
  readonly text: string;
}

/**
 * FASTAAPS as a whole set of documents without versions (adapter `restore`), and documents in the form in which today's
 * service shows them. Documents pass through here one by one.
 */
export class FastaapsSet {
  readonly #connector: CompiledConnector;
  readonly #fastaaps: FastaapsClient;
  readonly #onWarning: (text: string, passedOver: boolean) => void;
  readonly #idPath: readonly string[];
  readonly #warned = new Set<string>();

  /**
   * @param onWarning told once of each field whose values the service changes, and of documents that state no id: among all
   * documents these are passed over, and nobody can say that the set is equal
   * @throws where no field of the document shows its id
   */
  constructor(
    connector: CompiledConnector,
    fastaaps: FastaapsClient,
    onWarning: (text: string, passedOver: boolean) => void,
  ) {
    this.#connector = connector;
    this.#fastaaps = fastaaps;
    this.#onWarning = onWarning;
    const idPath = idPathOf(connector);
    if (idPath === null) {
      throw new Error(
        `${connector.name}: no field of the document shows ${connector.root.idColumn}: documents of a set cannot be told apart without it`,
      );
    }
    this.#idPath = idPath;
  }

  /** @param ids only these; null: all. An id may come more than once: nothing in the service forbids it */
  async *documents(ids: ReadonlySet<string> | null, signal?: AbortSignal): AsyncGenerator<SetDocument> {
    const { definition, target } = this.#connector;
    const { documents } = await this.#fastaaps.getSet(target, { signal });
    for await (const text of documents) {
      const id = idIn(text, this.#idPath);
      if (id === null) {
        this.#warn(
          'no id',
          `FASTAAPS holds a document without ${this.#idPath.join('.')}: it is not compared`,
          ids === null,
        );
      } else if (ids === null || ids.has(id)) yield { id, hash: hashOf(todayText(parseJson(text), definition)), text };
    }
  }

  /**
   * Reads the set into a temporary table of the session, `fastaaps_document`.
   * @param texts whether the column `document` is filled too
   */
  async load(
    client: pg.ClientBase,
    ids: ReadonlySet<string> | null,
    texts: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    await client.query(
      `DROP TABLE IF EXISTS pg_temp.fastaaps_document;
       CREATE TEMPORARY TABLE fastaaps_document (id text NOT NULL, hash text NOT NULL, document text)`,
    );
    for await (const portion of portions(this.documents(ids, signal), ({ text }) => text.length)) {
      await client.query(
        'INSERT INTO pg_temp.fastaaps_document (id, hash, document) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])',
        [
          textArray(portion.map(({ id }) => id)),
          textArray(portion.map((one) => one.hash)),
          textArray(portion.map(({ text }) => (texts ? text : null))),
        ],
      );
    }
  }

  /** Hash of a document that we send, as the service will show it. */
  expectedHash(id: string, body: string): string {
    return hashOf(
      todayText(parseJson(body), this.#connector.definition, (field, change) => {
        this.#warn(`${field} ${change}`, `FASTAAPS changes values: ${field} ${change} (document ${id}, maybe others)`);
      }),
    );
  }

  /** A document of either side as it is compared. */
  comparable(document: Json): Json {
    return todayDocument(document, this.#connector.definition);
  }

  #warn(about: string, text: string, passedOver = false): void {
    if (this.#warned.has(about)) return;
    this.#warned.add(about);
    this.#onWarning(text, passedOver);
  }
}

function hashOf(text: string): string {
  return hash('sha256', text, 'hex');
}

/** A document's id by its digits; null where it has none. */
function idIn(document: string, path: readonly string[]): string | null {
  let text: string | undefined = document;
  for (const name of path) text = text?.startsWith('{') ? memberTexts(text).get(name) : undefined;
  if (text === undefined || text === 'null' || text.startsWith('{') || text.startsWith('[')) return null;
  return text.startsWith('"') ? (JSON.parse(text) as string) : text;
}
