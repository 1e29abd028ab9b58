import { hash } from 'node:crypto';
import type pg from 'pg';
import type { CompiledConnector, Placement } from '../../connector/compiled.ts';
import type { Definition } from '../../connector/definition.ts';
import { textArray } from '../../consumer/text-array.ts';
import type { FastaapsClient } from '../../fastaaps/client.ts';
import { memberTexts } from '../../fastaaps/json-text.ts';
import { cursorRows } from '../../postgres/cursor-rows.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { type DocumentState, LETTER, type StateRow, stateOf, stateSql, stateValues } from './document-state.ts';
import type { FastaapsSide, Theirs } from './fastaaps-side.ts';
import type { IdRange } from './id-source.ts';
import { type Json, parseJson } from './json-tree.ts';
import { todayDocument, todayText } from './today-document.ts';

/** Rows that go into the temporary table at once. */
const PORTION = 1_000;

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
  readonly #fastaaps: FastaapsClient;
  readonly #onWarning: (text: string) => void;
  readonly #idPath: readonly string[];
  readonly #warned = new Set<string>();

  /** @throws where no field of the document shows its id */
  constructor(
    connector: CompiledConnector,
    syncSchema: string,
    fastaaps: FastaapsClient,
    onWarning: (text: string) => void,
  ) {
    this.#connector = connector;
    this.#syncSchema = syncSchema;
    this.#fastaaps = fastaaps;
    this.#onWarning = onWarning;
    this.#idPath = idPathOf(connector.definition);
  }

  async load(client: pg.ClientBase, signal: AbortSignal): Promise<void> {
    await client.query(
      `DROP TABLE IF EXISTS pg_temp.fastaaps_document;
       CREATE TEMPORARY TABLE fastaaps_document (id text NOT NULL, hash text NOT NULL)`,
    );
    let portion: [id: string, hash: string][] = [];
    for await (const document of this.#set(signal)) {
      portion.push(document);
      if (portion.length < PORTION) continue;
      await insert(client, portion);
      portion = [];
    }
    await insert(client, portion);
  }

  async of(ids: ReadonlySet<string>): Promise<Map<string, Theirs>> {
    const found = new Map<string, string[]>();
    for await (const [id, one] of this.#set(undefined, ids)) found.set(id, [...(found.get(id) ?? []), one]);
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
      const expected = row.expected === null ? null : this.#expectedHash(row.id, row.expected);
      const state = stateOf(row);
      const differs = expected !== row.held && (state.kind === null || state.kind === 'dead_letter');
      if (differs) unequal.push({ ...state, kind: 'document' });
      else if (state.kind !== null || state.pending || state.setAside) unequal.push(state);
    }
    return unequal;
  }

  comparable(document: Json): Json {
    return todayDocument(document, this.#connector.definition);
  }

  #expectedHash(id: string, body: string): string {
    return hashOf(
      todayText(parseJson(body), this.#connector.definition, (field, change) => {
        this.#warn(`${field} ${change}`, `FASTAAPS changes values: ${field} ${change} (document ${id}, maybe others)`);
      }),
    );
  }

  async *#set(signal?: AbortSignal, ids?: ReadonlySet<string>): AsyncGenerator<[id: string, hash: string]> {
    const { definition, target } = this.#connector;
    const { documents } = await this.#fastaaps.getSet(target, { signal });
    for await (const text of documents) {
      const id = idIn(text, this.#idPath);
      if (id === null) {
        this.#warn('no id', `FASTAAPS holds a document without ${this.#idPath.join('.')}: it is not compared`);
      } else if (ids === undefined || ids.has(id)) yield [id, hashOf(todayText(parseJson(text), definition))];
    }
  }

  #warn(about: string, text: string): void {
    if (this.#warned.has(about)) return;
    this.#warned.add(about);
    this.#onWarning(text);
  }
}

async function insert(client: pg.ClientBase, portion: readonly (readonly [string, string])[]): Promise<void> {
  if (portion.length === 0) return;
  await client.query('INSERT INTO pg_temp.fastaaps_document (id, hash) SELECT * FROM unnest($1::text[], $2::text[])', [
    textArray(portion.map(([id]) => id)),
    textArray(portion.map(([, one]) => one)),
  ]);
}

function hashOf(text: string): string {
  return hash('sha256', text, 'hex');
}

/** The field that shows the root's id column: of the document itself, or of an object made of the root's own row. */
function idPathOf({ name, root }: Definition): string[] {
  const showsId = (field: { lookup: string | null; column: string }): boolean =>
    field.lookup === null && field.column === root.idColumn;
  const own = root.fields.find(showsId);
  if (own) return [own.name];
  for (const section of root.sections) {
    const isRoot = section.rows.schema === root.table.schema && section.rows.table === root.table.table;
    const field = isRoot && section.shape === 'object' ? section.fields.find(showsId) : undefined;
    if (field) return [section.name, field.name];
  }
  throw new Error(
    `${name}: no field of the document shows ${root.idColumn}: documents of a set cannot be told apart without it`,
  );
}

/** A document's id by its digits; null where it has none. */
function idIn(document: string, path: readonly string[]): string | null {
  let text: string | undefined = document;
  for (const name of path) text = text?.startsWith('{') ? memberTexts(text).get(name) : undefined;
  if (text === undefined || text === 'null' || text.startsWith('{') || text.startsWith('[')) return null;
  return text.startsWith('"') ? (JSON.parse(text) as string) : text;
}
