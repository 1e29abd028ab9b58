import { hash } from 'node:crypto';
import type pg from 'pg';
import type { CompiledConnector } from '../connector/compiled.ts';
import { quoteIdentifier } from '../postgres/identifier.ts';
import type { Commit } from './checkpoint.ts';
import type { IncompleteRows } from './incomplete.ts';
import type { ConnectorSchemas } from './replica-names.ts';
import type { ReplicaTables } from './replica-tables.ts';
import { type Statement, statement } from './statement.ts';
import { columnArrays, textArray } from './text-array.ts';

/** Marks taken at once: bounds the memory here and in the server. */
const PORTION = 5_000;
/** Up to so many ids a plan made once serves; for more, one made for the ids at hand is faster. */
const FEW = 100;
/** Versions of a document that are kept, the newest included. */
const KEPT_VERSIONS = 10;

export interface Projected {
  /** Documents looked at. */
  marked: number;
  /** Versions made, deletions and refused ones included. */
  changed: number;
  /** Of those, documents that break the connector's schema and are not sent. */
  refused: number;
}

/** Turns marks into document versions, the outbox and dead letters, all in SQL: no document ever comes here. */
export class Projection {
  readonly #connector: CompiledConnector;
  readonly #tables: ReplicaTables;
  readonly #incomplete: IncompleteRows;
  readonly #sync: string;
  #statement: Statement | null = null;

  constructor(
    connector: CompiledConnector,
    tables: ReplicaTables,
    incomplete: IncompleteRows,
    schemas: ConnectorSchemas,
  ) {
    this.#connector = connector;
    this.#tables = tables;
    this.#incomplete = incomplete;
    this.#sync = quoteIdentifier(schemas.sync);
  }

  /** Of the compiled projection: where it differs from the last one, every document may. */
  get hash(): string {
    return hash('sha256', this.#compiled, 'hex');
  }

  get #compiled(): string {
    return this.#connector.projection(this.#tables.placement, '(SELECT unnest($1::text[]) AS id)');
  }

  /** Keeps delivery out of the tables that both write, see migrations/001-bookkeeping.sql. */
  get lock(): string {
    return `LOCK TABLE ${this.#sync}.outbox IN SHARE ROW EXCLUSIVE MODE`;
  }

  /** The replica's tables are others now. */
  reset(): void {
    this.#statement = null;
  }

  /** Marks every root of the replica, and every document that has none there. */
  async markAll(client: pg.ClientBase): Promise<void> {
    await client.query(
      `INSERT INTO ${this.#sync}.mark (id)
       SELECT id FROM (${this.#connector.allRoots(this.#tables.placement)}) AS root
       UNION SELECT id FROM ${this.#sync}.document WHERE NOT deleted
       ON CONFLICT (id) DO NOTHING`,
    );
  }

  /**
   * Projects all marks in the open transaction. Documents that hold incomplete rows keep their marks, and wait.
   * @param locked whether the transaction has run `lock` already
   */
  async run(client: pg.ClientBase, commit: Commit, locked: boolean): Promise<Projected> {
    if (!locked) await client.query(this.lock);
    const total: Projected = { marked: 0, changed: 0, refused: 0 };
    const held = this.#incomplete.suspected ? await this.#held(client) : null;
    for (let full = true; full; ) {
      const { rows: marks } = await client.query<[string, boolean]>({
        ...this.#takeMarks(held),
        values: held ? [textArray(held)] : [],
        rowMode: 'array',
      });
      full = marks.length === PORTION;
      if (marks.length === 0) break;
      const done = await this.#project(client, marks, commit);
      total.marked += marks.length;
      total.changed += done.changed;
      total.refused += done.refused;
    }
    return total;
  }

  #takeMarks(held: string[] | null): Statement {
    const mark = `${this.#sync}.mark`;
    const where = held ? `WHERE id <> ALL ($1::text[])` : '';
    return statement(
      `DELETE FROM ${mark} WHERE id IN (SELECT id FROM ${mark} ${where} LIMIT ${PORTION}) RETURNING id, forced`,
    );
  }

  async #project(client: pg.ClientBase, marks: [string, boolean][], commit: Commit) {
    this.#statement ??= statement(this.#sql());
    const few = marks.length <= FEW;
    if (!few) await client.query('SET LOCAL plan_cache_mode = force_custom_plan');
    const { rows } = await client.query<{ changed: number; refused: number }>({
      ...(few ? { name: this.#statement.name } : {}),
      text: this.#statement.text,
      values: [
        textArray(marks.map(([id]) => id)),
        textArray(marks.map(([, forced]) => String(forced))),
        commit.history,
        commit.seq,
        commit.lsn,
      ],
    });
    if (!few) await client.query('SET LOCAL plan_cache_mode = force_generic_plan');
    return rows[0]!;
  }

  /** Ids of documents that hold incomplete rows. */
  async #held(client: pg.ClientBase): Promise<string[]> {
    const held = new Set<string>();
    for (const { table, keys } of await this.#incomplete.keys(client)) {
      const replica = this.#tables.get(table)!;
      const affected = this.#connector.affectedRoots(table, this.#tables.placement, 'keys');
      if (!affected) continue;
      const names = replica.shape.key.map((place) => replica.shape.columns[place]!.name);
      const arrays = columnArrays(keys, names.length);
      const { rows } = await client.query<{ id: string }>(
        affected.sql,
        affected.parameters.map((name) => arrays[names.indexOf(name)]),
      );
      for (const { id } of rows) held.add(id);
    }
    return [...held];
  }

  /**
   * $1 ids, $2 forced, $3 history, $4 seq, $5 LSN. A document is changed where its hash differs from that of its newest
   * projected version (a deleted or unknown one has none), and gets a version above all others. One that breaks the
   * schema takes the place of what was still to be sent, and goes to the dead letters.
   */
  #sql(): string {
    const s = this.#sync;
    return `WITH projected AS MATERIALIZED (${this.#compiled}),
hashed AS MATERIALIZED (
  SELECT p.*, CASE WHEN p.body IS NOT NULL THEN sha256(convert_to(p.body, 'UTF8')) END AS hash FROM projected AS p),
changed AS MATERIALIZED (
  SELECT h.id, h.body, h.problems, h.hash, c.epoch, nextval('${s.replaceAll("'", "''")}.outbox_version') AS version
  FROM hashed AS h
  JOIN unnest($1::text[], $2::text[]) AS w(id, forced) ON w.id = h.id
  LEFT JOIN ${s}.document AS d ON d.id = h.id
  CROSS JOIN ${s}.checkpoint AS c
  WHERE w.forced::boolean OR d.hash IS DISTINCT FROM h.hash),
documents AS (
  INSERT INTO ${s}.document (id, epoch, version, hash, deleted)
  SELECT id, epoch, version, hash, body IS NULL FROM changed
  ON CONFLICT (id) DO UPDATE SET
    epoch = EXCLUDED.epoch, version = EXCLUDED.version, hash = EXCLUDED.hash, deleted = EXCLUDED.deleted),
versions AS (
  INSERT INTO ${s}.document_version (id, epoch, version, body, history, seq, lsn)
  SELECT id, epoch, version, body, $3, $4, '0/0'::pg_lsn + $5::numeric FROM changed),
outdated AS (
  DELETE FROM ${s}.document_version AS v USING changed AS c
  CROSS JOIN LATERAL (
    SELECT o.id, o.epoch, o.version FROM ${s}.document_version AS o WHERE o.id = c.id
    ORDER BY o.epoch DESC, o.version DESC OFFSET ${KEPT_VERSIONS - 1}) AS o
  WHERE v.id = o.id AND v.epoch = o.epoch AND v.version = o.version
    AND NOT EXISTS (SELECT FROM ${s}.document AS d
      WHERE d.id = o.id AND d.accepted_epoch = o.epoch AND d.accepted_version = o.version)),
sending AS (
  INSERT INTO ${s}.outbox (id, epoch, version) SELECT id, epoch, version FROM changed WHERE problems IS NULL
  ON CONFLICT (id) DO UPDATE SET epoch = EXCLUDED.epoch, version = EXCLUDED.version),
withheld AS (
  DELETE FROM ${s}.outbox AS o USING changed AS c WHERE o.id = c.id AND c.problems IS NOT NULL),
cured AS (
  DELETE FROM ${s}.dead_letter AS l USING changed AS c WHERE l.id = c.id AND c.problems IS NULL),
refused AS (
  INSERT INTO ${s}.dead_letter (id, epoch, version, reason, path, detail)
  SELECT id, epoch, version, 'schema', problems[1], jsonb_build_object('missing', to_jsonb(problems))
  FROM changed WHERE problems IS NOT NULL
  ON CONFLICT (id) DO UPDATE SET
    epoch = EXCLUDED.epoch, version = EXCLUDED.version, reason = EXCLUDED.reason, path = EXCLUDED.path,
    detail = EXCLUDED.detail, created_at = now(), published = false, discarded_at = NULL, discarded_by = NULL)
SELECT count(*)::int AS changed, count(problems)::int AS refused FROM changed`;
  }
}
