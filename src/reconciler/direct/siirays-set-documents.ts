import type pg from 'pg';
import type { CompiledConnector } from '../../connector/compiled.ts';
import { textArray } from '../../consumer/text-array.ts';
import { cursorRows } from '../../postgres/cursor-rows.ts';
import type { FastaapsSet } from '../documents/fastaaps-set.ts';
import type { Given, GivenDocuments, GivenText } from './direct-side.ts';
import type { SiiraysRoots } from './siirays-roots.ts';

type Row = Omit<GivenText, 'hash'>;

/** SIIRAyS's own documents of some roots in the form in which today's service shows documents: made here, one by one. */
export class SiiraysSetDocuments implements GivenDocuments {
  readonly #client: pg.ClientBase;
  readonly #projection: string;
  readonly #set: FastaapsSet;

  constructor(client: pg.ClientBase, connector: CompiledConnector, { placement }: SiiraysRoots, set: FastaapsSet) {
    this.#client = client;
    this.#projection = connector.projection(placement, '(SELECT unnest($1::text[]) AS id)');
    this.#set = set;
  }

  async hashes(ids: readonly string[]): Promise<Given[]> {
    const given: Given[] = [];
    for await (const { id, hash, problem } of this.texts(ids)) given.push({ id, hash, problem });
    return given;
  }

  async *texts(ids: readonly string[]): AsyncGenerator<GivenText> {
    const sql = `SELECT p.id, p.problems[1] AS problem, p.body FROM (${this.#projection}) AS p`;
    for await (const row of cursorRows<Row>(this.#client, sql, [textArray(ids)], ({ body }) => body?.length ?? 0)) {
      yield { ...row, hash: row.body === null ? null : this.#set.expectedHash(row.id, row.body) };
    }
  }
}
