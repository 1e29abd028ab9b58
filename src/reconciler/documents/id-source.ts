import type pg from 'pg';
import type { CompiledConnector, Placement } from '../../connector/compiled.ts';
import { textArray } from '../../consumer/text-array.ts';
import { quoteIdentifier, quoteLiteral } from '../../postgres/identifier.ts';
import type { FastaapsSide, Theirs } from './fastaaps-side.ts';
import type { ReplicaSession } from './replica-session.ts';
import { rootIds } from './root-ids.ts';

/** Documents that are looked at together. */
export interface IdRange {
  readonly ids: readonly string[];
  /** What FASTAAPS says of each; null: nothing. */
  readonly theirs: readonly (Theirs | null)[];
  /** The ids that can be roots: only they can be projected, since an id of FASTAAPS's can be any text. */
  readonly projectable: readonly string[];
  /** Ids that were asked for, and that neither the bookkeeping nor FASTAAPS knows: there may still be a root. */
  readonly unheard: readonly string[];
}

/** Gives ids in the order of their bytes. */
export interface IdSource {
  /** How many there are in all, those before the beginning included. */
  readonly total: number;
  readonly remaining: number;
  /** The next `size` ids; null: that was all. */
  next(size: number): Promise<IdRange | null>;
}

const CURSOR = 'compared_ids';

export interface AllIdsOptions {
  session: ReplicaSession;
  connector: CompiledConnector;
  syncSchema: string;
  side: FastaapsSide;
  /** The id to go on after; null: from the beginning. */
  after: string | null;
  signal: AbortSignal;
}

/**
 * All ids of roots, documents and FASTAAPS, as they are now. They are sorted once, and kept by the server in a cursor
 * WITH HOLD (PostgreSQL manual, DECLARE): it is read without an open transaction, and goes with the session.
 */
export class AllIds implements IdSource {
  readonly #session: ReplicaSession;
  /** The first row, which was read for its counts. */
  #first: Row[];
  readonly total: number;
  remaining: number;

  private constructor(session: ReplicaSession, first: Row[]) {
    this.#session = session;
    this.#first = first;
    this.total = Number(first[0]?.[3] ?? 0);
    this.remaining = first[0] === undefined ? 0 : Number(first[0][4]) + 1;
  }

  /** FASTAAPS's side is to be loaded in the session. */
  static async open({ session, connector, syncSchema, side, after, signal }: AllIdsOptions): Promise<AllIds> {
    await session.use((client) => client.query('CLOSE ALL'));
    await session.snapshot(async (client, placement) => {
      const ids = allIdsSql(connector, placement, syncSchema, side, after);
      await client.query(`DECLARE ${CURSOR} CURSOR WITH HOLD FOR ${ids}`);
    }, signal);
    return new AllIds(session, await fetch(session, 1));
  }

  async next(size: number): Promise<IdRange | null> {
    const rows = [...this.#first, ...(await fetch(this.#session, size - this.#first.length))];
    this.#first = [];
    this.remaining -= rows.length;
    if (rows.length === 0) return null;
    return {
      ids: rows.map(([id]) => id),
      theirs: rows.map((row) => (row[2] === null ? null : row.slice(5))) as (Theirs | null)[],
      projectable: rows.filter(([, known]) => known).map(([id]) => id),
      unheard: [],
    };
  }
}

async function fetch(session: ReplicaSession, rows: number): Promise<Row[]> {
  const statement = { text: `FETCH FORWARD ${rows} FROM ${CURSOR}`, rowMode: 'array' };
  return session.use(async (client) => (await client.query<Row>(statement)).rows);
}

/** id, can it be a root, id at FASTAAPS, total, remaining after it, FASTAAPS's columns. */
type Row = [string, boolean, string | null, string, string, ...(string | null)[]];

function allIdsSql(
  connector: CompiledConnector,
  placement: Placement,
  syncSchema: string,
  { relation, columns }: FastaapsSide,
  after: string | null,
): string {
  const s = quoteIdentifier(syncSchema);
  const theirs = columns.map((column) => `t.${column}::text AS ${column}`).join(', ');
  return `SELECT id, known, theirs, total, total - row_number AS remaining, ${columns.join(', ')} FROM (
    SELECT i.id, i.known, t.id AS theirs, ${theirs},
      count(*) OVER () AS total, row_number() OVER (ORDER BY i.id COLLATE "C") AS row_number
    FROM (SELECT id, bool_or(known) AS known FROM (
        SELECT id, true AS known FROM (${connector.allRoots(placement)}) AS root
        UNION ALL SELECT id, true FROM ${s}.document
        UNION ALL SELECT id, false FROM ${relation}) AS one GROUP BY id) AS i
    LEFT JOIN ${relation} AS t ON t.id = i.id) AS numbered
  ${after === null ? '' : `WHERE id COLLATE "C" > ${quoteLiteral(after)}`}
  ORDER BY row_number`;
}

/** Some ids, with what FASTAAPS says of them. */
export class GivenIds implements IdSource {
  readonly #session: ReplicaSession;
  readonly #connector: CompiledConnector;
  readonly #syncSchema: string;
  readonly #theirs: ReadonlyMap<string, Theirs>;
  readonly #ids: readonly string[];
  readonly total: number;
  #at = 0;

  constructor(
    { session, connector, syncSchema, after }: Omit<AllIdsOptions, 'side' | 'signal'>,
    ids: Iterable<string>,
    theirs: ReadonlyMap<string, Theirs>,
  ) {
    this.#session = session;
    this.#connector = connector;
    this.#syncSchema = syncSchema;
    this.#theirs = theirs;
    const sorted = [...new Set(ids)].sort(byBytes);
    this.total = sorted.length;
    this.#ids = after === null ? sorted : sorted.filter((id) => byBytes(id, after) > 0);
  }

  get remaining(): number {
    return this.#ids.length - this.#at;
  }

  async next(size: number): Promise<IdRange | null> {
    const ids = this.#ids.slice(this.#at, this.#at + size);
    this.#at += ids.length;
    if (ids.length === 0) return null;
    return this.#session.snapshot(async (client, placement) => {
      const known = await this.#documents(client, ids);
      const others = ids.filter((id) => !known.has(id));
      return {
        ids,
        theirs: ids.map((id) => this.#theirs.get(id) ?? null),
        projectable: [...known, ...(await rootIds(client, this.#connector, placement, others))],
        unheard: others.filter((id) => !this.#theirs.has(id)),
      };
    });
  }

  async #documents(client: pg.ClientBase, ids: readonly string[]): Promise<Set<string>> {
    const { rows } = await client.query<{ id: string }>(
      `SELECT id FROM ${quoteIdentifier(this.#syncSchema)}.document WHERE id = ANY ($1::text[])`,
      [textArray(ids)],
    );
    return new Set(rows.map(({ id }) => id));
  }
}

/** The order of UTF-8 bytes, as COLLATE "C" has it. */
function byBytes(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right));
}
