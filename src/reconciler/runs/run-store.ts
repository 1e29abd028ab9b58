import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { withConnection } from '../../postgres/borrowed-connection.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { migrate } from '../../postgres/migrate.ts';
import { type Asker, type Run, RunConflict, type RunFunction, type RunOptions } from '../types.ts';
import { type AuditEntry, AuditTrail } from './audit-trail.ts';
import { type ProofAge, Proofs } from './proofs.ts';
import { LeaseLost, NotResumable } from './run-errors.ts';
import { RunExecution } from './run-execution.ts';
import { type DifferenceFilter, type PlacedDifference, type RunFilter, RunHistory } from './run-history.ts';
import type { RunObserver } from './run-observer.ts';
import { runJson, silent, storable } from './run-sql.ts';
import { type Ending, RunWriter } from './run-writer.ts';
import { type TakenRun, takeRun } from './take-run.ts';

export interface RunStoreOptions {
  /** Connections to `sync`. Executing a run borrows one for a moment, a few times a second. */
  pool: pg.Pool;
  schema: string;
  /** Name of this process. */
  instance: string;
  keep: {
    days: number;
    runs: number;
    differencesPerRun: number;
  };
  /** A run that was not seen for so long was killed. */
  silentMs: number;
  observer?: RunObserver;
}

/** How a run is asked for. */
export interface AskingExtra {
  idempotencyKey?: string;
  /** The run that it goes on with. */
  resumes?: string;
}

const MIGRATIONS = join(import.meta.dirname, '../migrations');
const QUEUE_LOOK_MS = 1_000;

/**
 * The history of runs, and who may run: in tables of `sync` that any number of processes share. A run holds its connectors
 * from its making to its end, as long as its process shows that it lives.
 */
export class RunStore {
  readonly pool: pg.Pool;
  readonly schema: string;
  readonly #o: RunStoreOptions;
  readonly #history: RunHistory;
  readonly #proofs: Proofs;
  readonly #audit: AuditTrail;

  constructor(options: RunStoreOptions) {
    const { pool, schema, silentMs } = options;
    this.#o = options;
    this.pool = pool;
    this.schema = schema;
    this.#history = new RunHistory(pool, schema, silentMs);
    this.#proofs = new Proofs(pool, schema);
    this.#audit = new AuditTrail(pool, schema);
  }

  /** Makes the tables or brings them up to date. */
  async migrate(): Promise<void> {
    await withConnection(this.pool, (client) => migrate(client, MIGRATIONS, this.schema));
  }

  /**
   * Makes a run, in state `queued`, that holds all its connectors; `execute` it then. With an idempotency key that was used
   * for the same options before, that run.
   * @throws RunConflict, IdempotencyConflict, NotResumable
   */
  create(options: RunOptions, asker: Asker, { idempotencyKey, resumes }: AskingExtra = {}): Promise<TakenRun> {
    return takeRun(this.#o, {
      options,
      asker,
      idempotencyKey: idempotencyKey ?? null,
      resumes: resumes ?? null,
    });
  }

  /**
   * As `create`, and waits while another run holds the connectors.
   * @throws IdempotencyConflict, NotResumable; the signal's reason
   */
  async queue(options: RunOptions, asker: Asker, extra: AskingExtra, signal: AbortSignal): Promise<TakenRun> {
    for (;;) {
      signal.throwIfAborted();
      try {
        return await this.create(options, asker, extra);
      } catch (error) {
        if (!(error instanceof RunConflict)) throw error;
      }
      await sleep(QUEUE_LOOK_MS, undefined, { signal });
    }
  }

  /**
   * Makes a run that goes on where another has stopped.
   * @throws NotResumable, RunConflict, IdempotencyConflict
   */
  async resume(id: string, asker: Asker, { idempotencyKey }: { idempotencyKey?: string } = {}): Promise<TakenRun> {
    const before = await this.get(id);
    if (!before) throw new NotResumable(`there is no run ${id}`);
    return this.create(before.options, asker, { idempotencyKey, resumes: id });
  }

  /**
   * Executes a queued run: `work` does it and tells the recorder. Errors of `work` are the run's, not ours: the run is then
   * `failed`. One that was cancelled while it was queued is given back without a word to `work`.
   * @param signal aborts when the process ends: the run is then interrupted, and can be resumed
   * @returns the run as it ended
   * @throws LeaseLost where the end could not be written: another process has taken it over, or may have
   */
  async execute(run: Run, work: RunFunction, signal: AbortSignal): Promise<Run> {
    const { pool, schema, instance, silentMs, keep, observer } = this.#o;
    const execution = randomUUID();
    const writer = new RunWriter({ pool, schema, instance, silentMs, execution, runId: run.id });
    const begun = await writer.begin();
    if (!begun) return this.#notBegun(run.id);
    const executing = new RunExecution({
      run: begun.run,
      resumeFrom: begun.cursor,
      writer,
      silentMs,
      differencesPerRun: keep.differencesPerRun,
      observer: observer ?? null,
      signal,
    });
    return executing.execute(work, (ending) => this.#forgetUnmet(begun.run, ending));
  }

  async #notBegun(id: string): Promise<Run> {
    const run = await this.get(id);
    if (!run) throw new LeaseLost(`run ${id} is not in the history any more`);
    if (run.state === 'running') throw new LeaseLost(`run ${id} is executed by another process`);
    return run;
  }

  async #forgetUnmet({ id, options }: Run, { incomplete }: Ending): Promise<void> {
    const { ids, tables, mode, connectors } = options;
    if (incomplete === null || mode === 'restore' || ids !== null || tables !== null) return;
    const complete = connectors.filter((name) => !incomplete.includes(name));
    if (complete.length > 0) await this.#proofs.forgetUnmet(id, complete);
  }

  /**
   * Cancels a run: at once where it is queued, else its process is told and sees it within a second. One that has ended
   * stays as it is.
   * @param by who cancels it
   * @returns the run as it stands; null where there is none
   */
  async cancel(id: string, by: string): Promise<Run | null> {
    const before = await this.get(id);
    if (!before) return null;
    const schema = quoteIdentifier(this.schema);
    const { silentMs } = this.#o;
    const { rows } = await this.pool.query<{ run: string }>(
      `WITH cancelled AS (
         UPDATE ${schema}.run SET cancelled_by = coalesce(run.cancelled_by, $2),
           state = CASE run.state WHEN 'queued' THEN 'cancelled' ELSE run.state END,
           ended_at = CASE run.state WHEN 'queued' THEN clock_timestamp() END,
           notes = CASE run.state WHEN 'queued' THEN run.notes || ('cancelled by ' || $2) ELSE run.notes END
         WHERE run.id = $1 AND run.state IN ('queued', 'running') AND NOT ${silent(silentMs)} RETURNING run.*),
       freed AS (
         DELETE FROM ${schema}.lease USING cancelled WHERE lease.run = cancelled.id AND cancelled.state = 'cancelled')
       SELECT ${runJson(silentMs)} AS run FROM cancelled AS run`,
      [id, storable(by)],
    );
    return rows[0] ? (JSON.parse(rows[0].run) as Run) : this.get(id);
  }

  /** @returns null where there is no such run (any more) */
  get(id: string): Promise<Run | null> {
    return this.#history.get(id);
  }

  /** Newest first. @throws InvalidPageToken */
  list(filter: RunFilter): Promise<{ runs: Run[]; next: string | null }> {
    return this.#history.list(filter);
  }

  /** The kept differences of a run in the order they were found; none where there is no such run. */
  differences(id: string, filter: DifferenceFilter): Promise<{ differences: PlacedDifference[]; next: number | null }> {
    return this.#history.differences(id, filter);
  }

  /** Runs that have not ended, oldest first. */
  running(connector?: string): Promise<Run[]> {
    return this.#history.running(connector);
  }

  /**
   * When a run over the whole connector (no ids, no tables, not `restore`) last found it equal or made it so, in
   * milliseconds since 1970; null: never.
   */
  lastSuccess(connector: string): Promise<number | null> {
    return this.#history.lastSuccess(connector);
  }

  /**
   * As `lastSuccess`, of runs that decided everything about the connector: all is equal or made so, or what differs is named,
   * such as a dead letter. A run that left something of it undecided is none.
   */
  lastVerdict(connector: string): Promise<number | null> {
    return this.#history.lastVerdict(connector);
  }

  /**
   * These documents are proven equal now. After a run that decided everything about a connector, those that it did not meet
   * are forgotten.
   */
  proven(connector: string, ids: readonly string[], runId: string): Promise<void> {
    return this.#proofs.proven(connector, ids, runId);
  }

  /** These documents are there and not proven: they differ, are on their way, or were accepted as they are. */
  met(connector: string, ids: readonly string[]): Promise<void> {
    return this.#proofs.met(connector, ids);
  }

  ageOfProof(connector: string): Promise<ProofAge> {
    return this.#proofs.age(connector);
  }

  /** Deletes what is beyond `keep`; to be called now and then. @returns how many runs were deleted */
  prune(): Promise<number> {
    return this.#history.prune(this.#o.keep);
  }

  /** Notes what somebody did. @param client where the entry is part of an open transaction */
  audit(
    actor: string,
    role: string,
    action: string,
    object: string | null,
    detail: Readonly<Record<string, unknown>> = {},
    client?: pg.ClientBase,
  ): Promise<void> {
    return this.#audit.add(actor, role, action, object, detail, client);
  }

  /** Newest first. @throws InvalidPageToken */
  listAudit(page: { before?: string; limit: number }): Promise<{ entries: AuditEntry[]; next: string | null }> {
    return this.#audit.list(page);
  }
}
