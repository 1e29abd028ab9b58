import type pg from 'pg';
import type { CompiledConnector, Placement } from '../../connector/compiled.ts';
import { textArray } from '../../consumer/text-array.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import type { DocumentKind } from './document-candidate.ts';
import type { FastaapsSide } from './fastaaps-side.ts';
import type { IdRange } from './id-source.ts';

/** A document that is not equal on all sides, as one snapshot of `sync` shows it. */
export interface DocumentState {
  readonly id: string;
  /** null: nothing is wrong, but something is on its way or set aside. */
  readonly kind: DocumentKind | null;
  /** A mark or an outbox row waits. */
  readonly pending: boolean;
  /** Its dead letter was set aside by somebody: no difference, but no proof either. */
  readonly setAside: boolean;
  /** `Seen` as JSON text. */
  readonly seen: string;
}

/** Everything that was compared. Hashes are hexadecimal, versions `epoch.version`. */
export interface Seen {
  /** Of the projection; null: there is no such root. */
  projected: string | null;
  newest: string | null;
  hash: string | null;
  deleted: boolean | null;
  accepted: string | null;
  etag: string | null;
  /** Of the mark: whether it is forced. */
  mark: boolean | null;
  outbox: string | null;
  letter: string | null;
  letter_reason: string | null;
  letter_path: string | null;
  /** The service's own words. */
  letter_detail: string | null;
  discarded_at: string | null;
  /** FASTAAPS's columns; null where it has nothing. */
  theirs: (string | null)[] | null;
}

export interface StateSqlOptions {
  connector: CompiledConnector;
  placement: Placement;
  syncSchema: string;
  side: Pick<FastaapsSide, 'columns'>;
  /** SQL condition on d, l and t: FASTAAPS holds something else than it acknowledged. */
  differs: string;
  /** More columns of the SELECT. */
  more?: readonly string[];
}

/** A dead letter stands for the newest version. */
export const LETTER = '(l.epoch, l.version) = (d.epoch, d.version)';
const DISCARDED = `(to_jsonb(l) ->> 'discarded_at')`;
const ACCEPTED = '(d.accepted_epoch, d.accepted_version) = (d.epoch, d.version)';

/**
 * SELECT of id, kind, pending, set_aside, seen and more for every document of a range ($1… from `stateValues`), of p: its
 * projection, d: its row in document, t: FASTAAPS's side, m, o, l: its mark, outbox row, dead letter.
 */
export function stateSql({ connector, placement, syncSchema, side, differs, more = [] }: StateSqlOptions): string {
  const s = quoteIdentifier(syncSchema);
  const arrays = ['id', 'there', ...side.columns];
  const parameters = arrays.map((_, index) => `$${index + 2}::text[]`).join(', ');
  const theirs = side.columns.map((column) => `t.${column}`).join(', ');
  return `SELECT t.id,
  CASE
    WHEN p.hash IS DISTINCT FROM d.hash THEN 'projection'
    WHEN d.id IS NOT NULL AND (${LETTER}) IS NOT TRUE AND (${ACCEPTED}) IS NOT TRUE THEN 'undelivered'
    WHEN ${differs} THEN 'document'
    WHEN ${LETTER} AND ${DISCARDED} IS NULL THEN 'dead_letter'
  END AS kind,
  m.id IS NOT NULL OR o.id IS NOT NULL AS pending,
  coalesce(${LETTER}, false) AND ${DISCARDED} IS NOT NULL AS set_aside,
  jsonb_build_object(
    'projected', encode(p.hash, 'hex'), 'newest', d.epoch || '.' || d.version, 'hash', encode(d.hash, 'hex'),
    'deleted', d.deleted, 'accepted', d.accepted_epoch || '.' || d.accepted_version, 'etag', d.etag,
    'mark', m.forced, 'outbox', o.epoch || '.' || o.version,
    'letter', l.epoch || '.' || l.version, 'letter_reason', l.reason, 'letter_path', l.path,
    'letter_detail', l.detail ->> 'reason', 'discarded_at', ${DISCARDED},
    'theirs', CASE WHEN t.there IS NOT NULL THEN jsonb_build_array(${theirs}) END)::text AS seen
  ${more.map((column) => `, ${column}`).join('')}
FROM unnest(${parameters}) AS t(${arrays.join(', ')})
LEFT JOIN (SELECT id, body, sha256(convert_to(body, 'UTF8')) AS hash
  FROM (${connector.projection(placement, '(SELECT unnest($1::text[]) AS id)')}) AS made) AS p ON p.id = t.id
LEFT JOIN ${s}.document AS d ON d.id = t.id
LEFT JOIN ${s}.mark AS m ON m.id = t.id
LEFT JOIN ${s}.outbox AS o ON o.id = t.id
LEFT JOIN ${s}.dead_letter AS l ON l.id = t.id`;
}

/** The parameters of `stateSql`. */
export function stateValues({ ids, theirs, projectable }: IdRange, { columns }: Pick<FastaapsSide, 'columns'>) {
  return [
    textArray(projectable),
    textArray(ids),
    textArray(theirs.map((one) => (one === null ? null : 'yes'))),
    ...columns.map((_, place) => textArray(theirs.map((one) => one?.[place] ?? null))),
  ];
}

export interface StateRow extends pg.QueryResultRow {
  id: string;
  kind: DocumentKind | null;
  pending: boolean;
  set_aside: boolean;
  seen: string;
}

export function stateOf({ id, kind, pending, set_aside: setAside, seen }: StateRow): DocumentState {
  return { id, kind, pending, setAside, seen };
}
