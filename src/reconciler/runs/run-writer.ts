import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { createBackoff } from '../../retry/backoff.ts';
import type { Cursor, Run, RunState } from '../types.ts';
import { LeaseLost } from './run-errors.ts';
import type { RunFindings } from './run-findings.ts';
import { runJson, storable, storableJson } from './run-sql.ts';
import { withinTime } from './transaction.ts';

/** Differences written at once. */
const PORTION = 1_000;
/** Unknown ids that are kept of a run. */
const UNKNOWN_KEPT = 1_000;
/** The shortest time that an answer is waited for. */
const SHORTEST_WAIT_MS = 250;

export interface RunWriterOptions {
  pool: pg.Pool;
  schema: string;
  instance: string;
  silentMs: number;
  /** Names this execution: nothing is written any more once the row names another, or none is at work. */
  execution: string;
  runId: string;
}

/** How a run ended. */
export interface Ending {
  readonly state: Exclude<RunState, 'queued' | 'running'>;
  readonly error: { readonly message: string; readonly stack: string | null } | null;
  /** Connectors of which something was left undecided; null: the run has come to no result. */
  readonly incomplete: readonly string[] | null;
  readonly unknown: readonly string[];
}

/**
 * Writes the row of a run for the process that executes it. Every write is fenced by the row itself and says that the
 * process lives. A write that fails is repeated until the run counts as silent, by this process's own clock: from then on
 * another process may have taken its connectors.
 */
export class RunWriter {
  readonly #o: RunWriterOptions;
  readonly #table: string;
  readonly #schema: string;
  #seenAt = performance.now();

  constructor(options: RunWriterOptions) {
    this.#o = options;
    this.#schema = quoteIdentifier(options.schema);
    this.#table = `${this.#schema}.run`;
  }

  /** The queued run begins; null where it does not stand in the queue any more. */
  async begin(): Promise<{ run: Run; cursor: Cursor | null } | null> {
    const { runId, execution, instance, silentMs } = this.#o;
    const row = await this.#persist<{ run: string; cursor: string | null }>(
      `UPDATE ${this.#table} SET state = 'running', started_at = coalesce(run.started_at, clock_timestamp()),
         seen_at = clock_timestamp(), instance = $3, execution = $2
       WHERE run.id = $1 AND (run.state = 'queued' OR (run.state = 'running' AND run.execution = $2))
       RETURNING ${runJson(silentMs)} AS run, run.cursor::text AS cursor`,
      [runId, execution, instance],
    );
    return row
      ? { run: JSON.parse(row.run) as Run, cursor: row.cursor === null ? null : JSON.parse(row.cursor) }
      : null;
  }

  /**
   * Says that the process lives.
   * @returns who asked for the run to be cancelled, or null
   * @throws LeaseLost
   */
  async beat(): Promise<string | null> {
    const row = await this.#persist<{ by: string | null }>(
      `UPDATE ${this.#table} SET seen_at = clock_timestamp()
       WHERE run.id = $1 AND run.state = 'running' AND run.execution = $2 RETURNING run.cancelled_by AS by`,
      [this.#o.runId, this.#o.execution],
    );
    return this.#mine(row).by;
  }

  /**
   * Writes what was found so far, with a portion of the waiting differences (each place once: what became of one waits only
   * after it was written): together with the cursor that lies behind
   * them, so that a run that is resumed there has lost none.
   * @returns who asked for the run to be cancelled, or null
   * @throws LeaseLost
   */
  async write(findings: RunFindings): Promise<string | null> {
    const portion = findings.waiting.slice(0, PORTION);
    // As long as differences wait, the cursor may lie behind some of them.
    const whole = portion.length === findings.waiting.length;
    const row = await this.#persist<{ by: string | null }>(
      `WITH mine AS (
         UPDATE ${this.#table} SET seen_at = clock_timestamp(), progress = $3,
           cursor = CASE WHEN $4 THEN $5::jsonb ELSE run.cursor END,
           found = $6, repaired = $7, left_over = $8, differences_kept = $9, notes = $10, history = $11, lsn = $12
         WHERE run.id = $1 AND run.state = 'running' AND run.execution = $2 RETURNING run.id, run.cancelled_by),
       kept AS (
         INSERT INTO ${this.#schema}.difference (run, place, connector, kind, outcome, content)
         SELECT mine.id, d.place, d.connector, d.kind, d.outcome, d.content
         FROM mine, unnest($13::int[], $14::text[], $15::text[], $16::text[], $17::jsonb[])
           AS d(place, connector, kind, outcome, content)
         ON CONFLICT (run, place) DO UPDATE SET outcome = excluded.outcome, content = excluded.content)
       SELECT cancelled_by AS by FROM mine`,
      [
        this.#o.runId,
        this.#o.execution,
        storableJson(findings.progress),
        whole,
        findings.cursor === null ? null : storableJson(findings.cursor),
        JSON.stringify(findings.found),
        JSON.stringify(findings.repaired),
        JSON.stringify(findings.left),
        findings.kept,
        findings.notes,
        findings.position.history,
        findings.position.lsn,
        portion.map(({ place }) => place),
        portion.map(({ connector }) => connector),
        portion.map(({ kind }) => kind),
        portion.map(({ outcome }) => outcome),
        portion.map(({ content }) => content),
      ],
    );
    const { by } = this.#mine(row);
    findings.written(portion.length);
    return by;
  }

  /**
   * The run ends and gives its connectors back. An ending whose answer was lost is the same ending again.
   * @throws LeaseLost
   */
  async end({ state, error, incomplete, unknown }: Ending): Promise<Run> {
    const row = await this.#persist<{ run: string }>(
      `WITH ended AS (
         UPDATE ${this.#table} SET state = $3, ended_at = coalesce(run.ended_at, clock_timestamp()),
           seen_at = clock_timestamp(), error_message = $4, error_stack = $5, incomplete = $6, unknown_ids = $7
         WHERE run.id = $1 AND run.execution = $2 AND run.state IN ('running', $3) RETURNING run.*),
       freed AS (DELETE FROM ${this.#schema}.lease USING ended WHERE lease.run = ended.id)
       SELECT ${runJson(this.#o.silentMs)} AS run FROM ended AS run`,
      [
        this.#o.runId,
        this.#o.execution,
        state,
        error ? storable(error.message) : null,
        error?.stack ? storable(error.stack) : null,
        incomplete,
        unknown.slice(0, UNKNOWN_KEPT).map(storable),
      ],
    );
    return JSON.parse(this.#mine(row).run) as Run;
  }

  #mine<T>(row: T | null): T {
    if (row === null) throw new LeaseLost(`run ${this.#o.runId} was silent for too long: another process ended it`);
    return row;
  }

  /** One statement, tried until it is answered. @returns its first row */
  async #persist<T extends pg.QueryResultRow>(sql: string, values: unknown[]): Promise<T | null> {
    const { pool, silentMs, runId } = this.#o;
    const backoff = createBackoff({ minMs: 50, maxMs: 1_000 });
    for (;;) {
      const asked = performance.now();
      const waitMs = Math.max(SHORTEST_WAIT_MS, Math.min(silentMs / 3, this.#seenAt + silentMs - asked));
      try {
        const { rows } = await withinTime(pool, waitMs, (client) => client.query<T>(sql, values));
        this.#seenAt = asked;
        return rows[0] ?? null;
      } catch (cause) {
        if (performance.now() - this.#seenAt >= silentMs) {
          const seconds = silentMs / 1_000;
          throw new LeaseLost(`run ${runId} could not be written to the database sync for ${seconds} s`, { cause });
        }
        await sleep(backoff.next());
      }
    }
  }
}
