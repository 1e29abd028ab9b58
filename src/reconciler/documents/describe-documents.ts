import type { CompiledConnector } from '../../connector/compiled.ts';
import { textArray } from '../../consumer/text-array.ts';
import type { FastaapsClient } from '../../fastaaps/client.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import type { Described } from '../comparison.ts';
import type { Side } from '../types.ts';
import type { DocumentKind } from './document-candidate.ts';
import type { DocumentState, Seen } from './document-state.ts';
import type { FastaapsSide } from './fastaaps-side.ts';
import { firstTreeDifference, type JsonDifference, shown } from './json-difference.ts';
import { type Json, parseJson, valueAt } from './json-tree.ts';
import { patiently } from './patience.ts';
import type { ReplicaSession } from './replica-session.ts';

/** `reason`: of a dead letter, why the document was refused. */
export interface DescribedDocument extends Described {
  readonly reason: string | null;
}

export interface DocumentDescriptionsOptions {
  session: ReplicaSession;
  connector: CompiledConnector;
  schemas: { sync: string };
  fastaaps: FastaapsClient;
  side: FastaapsSide;
}

/** So many documents of a run are fetched to tell where they differ; of the others only the kind is told. */
const DETAILED = 200;
/** Documents in memory at once. */
const PORTION = 10;

/** A document as each place holds it, as JSON text; null: none. */
interface Texts {
  /** What the replica's rows give. */
  projected: string | null;
  /** The newest version in the bookkeeping, and the accepted one. */
  newest: string | null;
  accepted: string | null;
  /** What FASTAAPS holds. */
  held: string | null;
}

/** Tells what is wrong with documents that are not equal. */
export class DocumentDescriptions {
  readonly #options: DocumentDescriptionsOptions;
  #detailed = 0;

  constructor(options: DocumentDescriptionsOptions) {
    this.#options = options;
  }

  /** By id. Documents of which nothing is wrong are left out. */
  async of(states: readonly DocumentState[]): Promise<Map<string, DescribedDocument>> {
    const wrong = states.filter(({ kind }) => kind !== null) as (DocumentState & { kind: DocumentKind })[];
    const detailed = wrong.slice(0, DETAILED - this.#detailed);
    this.#detailed += detailed.length;
    const described = new Map<string, DescribedDocument>();
    for (let at = 0; at < detailed.length; at += PORTION) {
      const portion = detailed.slice(at, at + PORTION);
      const texts = await this.#texts(portion);
      for (const state of portion) described.set(state.id, this.#describe(state, texts.get(state.id)!));
    }
    for (const state of wrong.slice(detailed.length)) described.set(state.id, this.#describe(state, null));
    return described;
  }

  #describe({ id, kind, seen: text }: DocumentState & { kind: DocumentKind }, texts: Texts | null): DescribedDocument {
    const seen = JSON.parse(text) as Seen;
    const found = texts === null ? { ...NOTHING, wrong: wrongSide(kind) } : this.#difference(kind, seen, texts);
    return {
      kind,
      table: null,
      key: null,
      documents: [id],
      ...found,
      since: this.#column(seen, 'version') ?? seen.newest?.split('.')[1] ?? null,
      reason: kind === 'dead_letter' ? (seen.letter_detail ?? lacks(seen)) : null,
    };
  }

  #difference(kind: DocumentKind, seen: Seen, texts: Texts): JsonDifference & { wrong: Side } {
    const wrong = wrongSide(kind);
    switch (kind) {
      case 'projection':
        return { ...(this.#between(texts.projected, texts.newest) ?? values(seen.projected, seen.hash)), wrong };
      case 'undelivered':
        return { ...(this.#between(texts.newest, texts.held) ?? values(seen.newest, seen.accepted)), wrong };
      case 'dead_letter':
        return { ...atPath(seen.letter_path, texts.newest, texts.held), wrong };
      case 'document': {
        const expected = seen.letter === null ? texts.projected : texts.accepted;
        const found = this.#between(expected, texts.held);
        return found === null ? this.#versions(seen) : { ...found, wrong };
      }
    }
  }

  #between(expected: string | null, actual: string | null): JsonDifference | null {
    const [left, right] = [expected, actual].map((text) =>
      text === null ? undefined : this.#options.side.comparable(parseJson(text)),
    );
    return firstTreeDifference(left, right);
  }

  /**
   * The content is equal. Under the version that was acknowledged it must be we who wrote down another etag; under another
   * version FASTAAPS does not hold what it acknowledged.
   */
  #versions(seen: Seen): JsonDifference & { wrong: Side } {
    const held = seen.theirs && { version: seen.theirs.slice(0, 2).join('.'), etag: this.#column(seen, 'etag') };
    const known = seen.accepted === null ? null : { version: seen.accepted, etag: seen.etag };
    if (held?.version === known?.version) return { ...values(held, known), wrong: 'sync' };
    return { ...values(known, held), wrong: 'fastaaps' };
  }

  #column({ theirs }: Seen, name: string): string | null {
    return theirs?.[this.#options.side.columns.indexOf(name)] ?? null;
  }

  async #texts(states: readonly (DocumentState & { kind: DocumentKind })[]): Promise<Map<string, Texts>> {
    const { session, connector, fastaaps } = this.#options;
    const s = quoteIdentifier(this.#options.schemas.sync);
    // A root or none: its document is projected where the comparison could project it.
    const roots = states.filter(({ seen }) => (JSON.parse(seen) as Seen).projected !== null).map(({ id }) => id);
    const { rows } = await session.snapshot((client, placement) =>
      client.query<Omit<Texts, 'held'> & { id: string }>(
        `SELECT t.id, p.body AS projected, n.body AS newest, a.body AS accepted
         FROM unnest($2::text[]) AS t(id)
         LEFT JOIN (${connector.projection(placement, '(SELECT unnest($1::text[]) AS id)')}) AS p ON p.id = t.id
         LEFT JOIN ${s}.document AS d ON d.id = t.id
         LEFT JOIN ${s}.document_version AS n ON (n.id, n.epoch, n.version) = (d.id, d.epoch, d.version)
         LEFT JOIN ${s}.document_version AS a
           ON (a.id, a.epoch, a.version) = (d.id, d.accepted_epoch, d.accepted_version)`,
        [textArray(roots), textArray(states.map(({ id }) => id))],
      ),
    );
    const held = await Promise.all(
      states.map(async ({ id, kind }): Promise<[string, string | null]> => {
        if (kind === 'projection') return [id, null];
        return [id, await patiently(() => fastaaps.getDocument(connector.target, id))];
      }),
    );
    const heldById = new Map(held);
    return new Map(rows.map(({ id, ...texts }) => [id, { ...texts, held: heldById.get(id) ?? null }]));
  }
}

const NOTHING: JsonDifference = { path: null, expected: null, actual: null };

/** The projection is what `sync` failed to follow or to send; everything else is FASTAAPS's. */
function wrongSide(kind: DocumentKind): Side {
  return kind === 'projection' || kind === 'undelivered' ? 'sync' : 'fastaaps';
}

/** A difference that is not in the content. */
function values(expected: unknown, actual: unknown): JsonDifference {
  const [left, right] = [expected, actual].map((value) => (value === null ? null : JSON.stringify(value)));
  return { path: null, expected: left!, actual: right! };
}

function atPath(path: string | null, newest: string | null, held: string | null): JsonDifference {
  const [expected, actual] = [newest, held].map((text) => (text === null ? undefined : placed(parseJson(text), path)));
  return { path: path || null, expected: shown(expected), actual: shown(actual) };
}

function placed(document: Json, path: string | null): Json | undefined {
  return path ? valueAt(document, path) : document;
}

function lacks({ letter_path: path, letter_reason: reason }: Seen): string | null {
  return path ? `lacks ${path}` : reason;
}
