import type pg from 'pg';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import type { Difference, DifferenceKind, Mode, Run, RunState, Trigger } from '../types.ts';
import { decodePageToken, encodePageToken } from './page-token.ts';
import { milliseconds, runJson, silent, stateNow } from './run-sql.ts';

export interface RunFilter {
  readonly state?: RunState;
  readonly mode?: Mode;
  readonly connector?: string;
  readonly trigger?: Trigger;
  /** Name of who or what asked for it. */
  readonly asker?: string;
  /** `next` of the page before. */
  readonly before?: string;
  readonly limit: number;
}

export interface DifferenceFilter {
  readonly kind?: DifferenceKind;
  /** `next` of the page before. */
  readonly after?: number;
  readonly limit: number;
}

/** A difference with its place in the run's list. */
export type PlacedDifference = Difference & { readonly place: number };

/** How much is kept. */
export interface Retention {
  readonly days: number;
  readonly runs: number;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Since 1970: pages must not lose what PostgreSQL's clock tells apart. */
const MICROSECONDS = /^\d{1,18}$/;
/** Runs deleted at once, each with up to thousands of differences. */
const PRUNED_AT_ONCE = 20;

/** Reads the history of runs. */
export class RunHistory {
  readonly #pool: pg.Pool;
  readonly #schema: string;
  readonly #silentMs: number;
  readonly #json: string;

  constructor(pool: pg.Pool, schema: string, silentMs: number) {
    this.#pool = pool;
    this.#schema = quoteIdentifier(schema);
    this.#silentMs = silentMs;
    this.#json = runJson(silentMs);
  }

  /** @returns null where there is no such run (any more) */
  async get(id: string): Promise<Run | null> {
    if (!UUID.test(id)) return null;
    const { rows } = await this.#pool.query<{ run: string }>(
      `SELECT ${this.#json} AS run FROM ${this.#schema}.run WHERE run.id = $1`,
      [id],
    );
    return rows[0] ? (JSON.parse(rows[0].run) as Run) : null;
  }

  /** Newest first. @throws InvalidPageToken */
  async list(filter: RunFilter): Promise<{ runs: Run[]; next: string | null }> {
    const [at, id] = filter.before === undefined ? [null, null] : decodePageToken(filter.before, [MICROSECONDS, UUID]);
    const micros = `(extract(epoch FROM run.requested_at) * 1000000)::bigint`;
    const { rows } = await this.#pool.query<{ run: string; at: string }>(
      `SELECT ${this.#json} AS run, ${micros}::text AS at
       FROM ${this.#schema}.run
       WHERE ($1::text IS NULL OR ${stateNow(this.#silentMs)} = $1)
         AND ($2::text IS NULL OR run.mode = $2) AND ($3::text IS NULL OR $3 = ANY (run.connectors))
         AND ($4::text IS NULL OR run.trigger = $4) AND ($5::text IS NULL OR run.asked_by = $5)
         AND ($6::bigint IS NULL
           OR (run.requested_at, run.id) < (timestamptz 'epoch' + $6 * interval '1 microsecond', $7::uuid))
       ORDER BY run.requested_at DESC, run.id DESC LIMIT $8`,
      [
        filter.state ?? null,
        filter.mode ?? null,
        filter.connector ?? null,
        filter.trigger ?? null,
        filter.asker ?? null,
        at,
        id,
        filter.limit + 1,
      ],
    );
    const page = rows.slice(0, filter.limit);
    const runs = page.map(({ run }) => JSON.parse(run) as Run);
    const last = rows.length > filter.limit ? page.at(-1) : undefined;
    return { runs, next: last ? encodePageToken([last.at, runs.at(-1)!.id]) : null };
  }

  /** Runs that have not ended, of one connector or of all. */
  async running(connector?: string): Promise<Run[]> {
    const { rows } = await this.#pool.query<{ run: string }>(
      `SELECT ${this.#json} AS run FROM ${this.#schema}.run
       WHERE run.state IN ('queued', 'running') AND NOT ${silent(this.#silentMs)}
         AND ($1::text IS NULL OR $1 = ANY (run.connectors))
       ORDER BY run.requested_at, run.id`,
      [connector ?? null],
    );
    return rows.map(({ run }) => JSON.parse(run) as Run);
  }

  /** The differences of a run in the order they were found; none where there is no such run. */
  async differences(
    id: string,
    { kind, after, limit }: DifferenceFilter,
  ): Promise<{ differences: PlacedDifference[]; next: number | null }> {
    if (!UUID.test(id)) return { differences: [], next: null };
    const { rows } = await this.#pool.query<{ place: number; content: string }>(
      `SELECT place, content::text AS content FROM ${this.#schema}.difference
       WHERE run = $1 AND place > $2 AND ($3::text IS NULL OR kind = $3) ORDER BY place LIMIT $4`,
      [id, after ?? 0, kind ?? null, limit + 1],
    );
    const differences = rows
      .slice(0, limit)
      .map(({ place, content }) => ({ ...(JSON.parse(content) as Difference), place: Number(place) }));
    return { differences, next: rows.length > limit ? differences.at(-1)!.place : null };
  }

  /** When a run over the whole connector last found it equal or made it so; null: never, as far as one remembers. */
  lastSuccess(connector: string): Promise<number | null> {
    return this.#last(connector, SUCCESS);
  }

  /** When a run over the whole connector last decided all of it, whatever it found. */
  lastVerdict(connector: string): Promise<number | null> {
    return this.#last(connector, VERDICT);
  }

  async #last(connector: string, condition: string): Promise<number | null> {
    const { rows } = await this.#pool.query<{ at: string | null }>(
      `SELECT ${milliseconds('max(ended_at)')}::text AS at FROM ${this.#schema}.run AS run
       WHERE ${condition} AND $1 = ANY (run.connectors)`,
      [connector],
    );
    const at = rows[0]!.at;
    return at === null ? null : Number(at);
  }

  /**
   * Deletes runs that are too old or too many, and what people did so long ago. Runs at work stay, and each connector's
   * last success.
   * @returns how many runs were deleted
   */
  async prune({ days, runs }: Retention): Promise<number> {
    let deleted = 0;
    for (let more = true; more; ) {
      const { rowCount } = await this.#pool.query(
        `DELETE FROM ${this.#schema}.run WHERE id IN (
           SELECT run.id
           FROM (SELECT *, row_number() OVER (ORDER BY requested_at DESC, id DESC) AS place FROM ${this.#schema}.run) AS run
           WHERE (run.place > $1 OR run.requested_at < clock_timestamp() - $2 * interval '1 day')
             AND ${stateNow(this.#silentMs)} NOT IN ('queued', 'running')
             AND run.id NOT IN (
               SELECT DISTINCT ON (connector) run.id FROM ${this.#schema}.run, unnest(run.connectors) AS connector
               WHERE ${SUCCESS} ORDER BY connector, run.ended_at DESC)
           ORDER BY run.place DESC LIMIT ${PRUNED_AT_ONCE})`,
        [runs, days],
      );
      deleted += rowCount ?? 0;
      more = rowCount === PRUNED_AT_ONCE;
    }
    await this.#pool.query(`DELETE FROM ${this.#schema}.audit WHERE at < clock_timestamp() - $1 * interval '1 day'`, [
      days,
    ]);
    return deleted;
  }
}

/** A run over all of a connector. */
const WHOLE = `run.mode IN ('verify', 'repair')
  AND jsonb_typeof(coalesce(run.options -> 'ids', 'null')) = 'null'
  AND jsonb_typeof(coalesce(run.options -> 'tables', 'null')) = 'null'`;

/** A run that has proven a whole connector equal. */
const SUCCESS = `run.state IN ('equal', 'repaired') AND ${WHOLE}`;

/** One that has decided all of the connector $1, and so says how it stands; what differs is named. */
const VERDICT = `run.ended_at IS NOT NULL AND NOT ($1 = ANY (run.incomplete)) AND ${WHOLE}`;
