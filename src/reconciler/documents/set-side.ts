import type pg from 'pg';
import type { CompiledConnector, Placement } from '../../connector/compiled.ts';
import type { FastaapsClient } from '../../fastaaps/client.ts';
import { cursorRows } from '../../postgres/cursor-rows.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { type DocumentState, LETTER, type StateRow, stateOf, stateSql, stateValues } from './document-state.ts';
import { FastaapsSet } from './fastaaps-set.ts';
import type { FastaapsSide, Theirs } from './fastaaps-side.ts';
import type { IdRange } from './id-source.ts';
import type { Json } from './json-tree.ts';

/**
 * FASTAAPS as a whole set of documents without versions (adapter `restore`): both sides are brought to the form in which
 * today's service shows documents, and their hashes compared. Documents pass through here one by one.
 */
export class SetSide implements FastaapsSide {
  /** An id that comes more than once gets a hash that no document has. */
  readonly relation =
    "(SELECT id, string_agg(hash, '+' ORDER BY hash) AS hash FROM pg_temp.fastaaps_document GROUP BY id)";
  readonly columns = ['hash'];
  readonly #connector: CompiledConnector;
  readonly #syncSchema: string;
  readonly #set: FastaapsSet;

  /** @throws where no field of the document shows its id */
  constructor(
    connector: CompiledConnector,
    syncSchema: string,
    fastaaps: FastaapsClient,
    onWarning: (text: string, passedOver: boolean) => void,
  ) {
    this.#connector = connector;
    this.#syncSchema = syncSchema;
    this.#set = new FastaapsSet(connector, fastaaps, onWarning);
  }

  load(client: pg.ClientBase, signal: AbortSignal): Promise<void> {
    return this.#set.load(client, null, false, signal);
  }

  async of(ids: ReadonlySet<string>): Promise<Map<string, Theirs>> {
    const found = new Map<string, string[]>();
    for await (const { id, hash } of this.#set.documents(ids)) found.set(id, [...(found.get(id) ?? []), hash]);
    return new Map([...found].map(([id, hashes]) => [id, [hashes.sort().join('+')]]));
  }

  /**
   * A document should be there as it was projected; one whose newest version is a dead letter as it was accepted.
   */
  async compare(client: pg.ClientBase, placement: Placement, range: IdRange): Promise<DocumentState[]> {
    const s = quoteIdentifier(this.#syncSchema);
    const accepted = `(SELECT v.body FROM ${s}.document_version AS v
      WHERE (v.id, v.epoch, v.version) = (d.id, d.accepted_epoch, d.accepted_version))`;
    const sql = stateSql({
      connector: this.#connector,
      placement,
      syncSchema: this.#syncSchema,
      side: this,
      differs: 'false',
      more: [`CASE WHEN ${LETTER} THEN ${accepted} ELSE p.body END AS expected`, 't.hash AS held'],
    });
    type Row = StateRow & { expected: string | null; held: string | null };
    const rows = cursorRows<Row>(client, sql, stateValues(range, this), (row) => row.expected?.length ?? 0);
    const unequal: DocumentState[] = [];
    for await (const row of rows) {
      const expected = row.expected === null ? null : this.#set.expectedHash(row.id, row.expected);
      const state = stateOf(row);
      const differs = expected !== row.held && (state.kind === null || state.kind === 'dead_letter');
      if (differs) unequal.push({ ...state, kind: 'document' });
      else if (state.kind !== null || state.pending || state.setAside) unequal.push(state);
    }
    return unequal;
  }

  comparable(document: Json): Json {
    return this.#set.comparable(document);
  }
}
