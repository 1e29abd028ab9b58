import type pg from 'pg';
import type { CompiledConnector } from '../../connector/compiled.ts';
import { textArray } from '../../consumer/text-array.ts';
import { cursorRows } from '../../postgres/cursor-rows.ts';
import type { Given, GivenDocuments, GivenText } from './direct-side.ts';
import { documentHash, textHash } from './document-hash.ts';
import type { SiiraysRoots } from './siirays-roots.ts';

/** jsonb: comparable hashes; text: of the bodies as they are, where jsonb cannot hold one of them. */
export type HashForm = 'jsonb' | 'text';

/** SIIRAyS's own documents of some roots, computed there. */
export class SiiraysDocuments implements GivenDocuments {
  readonly #client: pg.ClientBase;
  readonly #projection: string;
  readonly #hash: string;

  constructor(client: pg.ClientBase, connector: CompiledConnector, { placement }: SiiraysRoots, form: HashForm) {
    this.#client = client;
    this.#projection = connector.projection(placement, '(SELECT unnest($1::text[]) AS id)');
    this.#hash = form === 'jsonb' ? documentHash('p.body') : textHash('p.body');
  }

  /** Hashes of the documents with these ids, which must be there. No document leaves SIIRAyS. */
  async hashes(ids: readonly string[]): Promise<Given[]> {
    const { rows } = await this.#client.query<Given>(
      `SELECT p.id, ${this.#hash} AS hash, p.problems[1] AS problem FROM (${this.#projection}) AS p`,
      [textArray(ids)],
    );
    return rows;
  }

  /** The documents too, as fast as they are taken. */
  texts(ids: readonly string[]): AsyncGenerator<GivenText> {
    return cursorRows<GivenText>(
      this.#client,
      `SELECT p.id, ${this.#hash} AS hash, p.problems[1] AS problem, p.body FROM (${this.#projection}) AS p`,
      [textArray(ids)],
      ({ body }) => body?.length ?? 0,
    );
  }
}
