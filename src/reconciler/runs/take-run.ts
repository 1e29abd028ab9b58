import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { quoteIdentifier } from '../../postgres/identifier.ts';
import { type Asker, type Progress, type Run, RunConflict, type RunOptions } from '../types.ts';
import { IdempotencyConflict, NotResumable } from './run-errors.ts';
import { PROCESS_ENDED, runJson, silent, stateNow, storable, storableJson } from './run-sql.ts';
import { inTransaction } from './transaction.ts';

/** What a new run is made of. */
export interface RunRequest {
  readonly options: RunOptions;
  readonly asker: Asker;
  readonly idempotencyKey: string | null;
  /** The run that it goes on with. */
  readonly resumes: string | null;
}

export interface TakenRun {
  readonly run: Run;
  /** It is the run that the same idempotency key made before. */
  readonly existing: boolean;
}

const START: Progress = {
  phase: 'waiting',
  connector: null,
  table: null,
  rows: 0,
  rowsTotal: 0,
  documents: 0,
  documentsTotal: 0,
};

/**
 * Makes a run together with the leases of all its connectors, or nothing. Runs are made one after the other, across all
 * processes: what one of them sees here, no other changes meanwhile, except the runs' own processes.
 * @throws RunConflict, IdempotencyConflict, NotResumable
 */
export function takeRun(
  { pool, schema, silentMs }: { pool: pg.Pool; schema: string; silentMs: number },
  request: RunRequest,
): Promise<TakenRun> {
  return inTransaction(pool, async (client) => {
    await client.query(`SELECT pg_advisory_xact_lock(hashtext('siirays-sync reconciliation'), hashtext($1))`, [schema]);
    const taking = new Taking(client, quoteIdentifier(schema), silentMs, request);
    const before = await taking.sameKey();
    if (before) return { run: before, existing: true };
    await taking.checkResumed();
    await taking.endSilentHolders();
    await taking.checkHeld();
    return { run: await taking.insert(randomUUID()), existing: false };
  });
}

/** One request within its transaction. */
class Taking {
  readonly #client: pg.ClientBase;
  readonly #schema: string;
  readonly #silentMs: number;
  readonly #request: RunRequest;

  constructor(client: pg.ClientBase, schema: string, silentMs: number, request: RunRequest) {
    this.#client = client;
    this.#schema = schema;
    this.#silentMs = silentMs;
    this.#request = request;
  }

  async sameKey(): Promise<Run | null> {
    const { options, idempotencyKey, resumes } = this.#request;
    if (idempotencyKey === null) return null;
    const { rows } = await this.#client.query<{ run: string; same: boolean }>(
      `SELECT ${runJson(this.#silentMs)} AS run, run.options = $2::jsonb AND run.resumes IS NOT DISTINCT FROM $3 AS same
       FROM ${this.#schema}.run WHERE run.idempotency_key = $1`,
      [idempotencyKey, storableJson(options), resumes],
    );
    const known = rows[0];
    if (!known) return null;
    const run = JSON.parse(known.run) as Run;
    if (known.same) return run;
    throw new IdempotencyConflict(`the idempotency key was used for run ${run.id}, which was asked for other things`);
  }

  async checkResumed(): Promise<void> {
    const { options, resumes } = this.#request;
    if (resumes === null) return;
    // How far it may go this time may differ; what its cursor speaks of may not.
    const { rows } = await this.#client.query<{ state: string; by: string | null; same: boolean }>(
      `SELECT ${stateNow(this.#silentMs)} AS state, run.resumed_by::text AS by,
         run.options - 'stopAfter' - 'maxTimeMs' = $2::jsonb - 'stopAfter' - 'maxTimeMs' AS same
       FROM ${this.#schema}.run WHERE run.id = $1`,
      [resumes, storableJson(options)],
    );
    const run = rows[0];
    if (!run) throw new NotResumable(`there is no run ${resumes}`);
    if (run.by !== null) throw new NotResumable(`run ${resumes} was resumed already, as run ${run.by}`);
    if (!['interrupted', 'failed', 'cancelled', 'undecided'].includes(run.state)) {
      throw new NotResumable(`run ${resumes} is ${run.state}: there is nothing to resume`);
    }
    if (!run.same) throw new NotResumable(`run ${resumes} was asked for other things: start a new run`);
  }

  /** Ends the runs that hold our connectors and have been silent: their processes can write nothing from here on. */
  async endSilentHolders(): Promise<void> {
    await this.#client.query(
      `WITH ended AS (
         UPDATE ${this.#schema}.run SET state = 'interrupted', ended_at = run.seen_at, error_message = '${PROCESS_ENDED}'
         WHERE run.id IN (SELECT run FROM ${this.#schema}.lease WHERE connector = ANY ($1)) AND ${silent(this.#silentMs)}
         RETURNING run.id)
       DELETE FROM ${this.#schema}.lease USING ended WHERE lease.run = ended.id`,
      [this.#request.options.connectors],
    );
  }

  async checkHeld(): Promise<void> {
    const { rows } = await this.#client.query<{ id: string; connector: string; mode: string; by: string }>(
      `SELECT run.id, lease.connector, run.mode, run.asked_by AS by
       FROM ${this.#schema}.lease JOIN ${this.#schema}.run ON run.id = lease.run
       WHERE lease.connector = ANY ($1) ORDER BY array_position($1, lease.connector) LIMIT 1`,
      [this.#request.options.connectors],
    );
    const held = rows[0];
    if (held) {
      throw new RunConflict(
        held.id,
        `run ${held.id} (${held.mode}, asked for by ${held.by}) is at work on connector ${held.connector}`,
      );
    }
  }

  async insert(id: string): Promise<Run> {
    const { options, asker, idempotencyKey, resumes } = this.#request;
    const { rows } = await this.#client.query<{ run: string }>(
      `INSERT INTO ${this.#schema}.run
         (id, mode, options, connectors, trigger, asked_by, idempotency_key, state, progress, resumes, cursor)
       VALUES ($1, $2, $3, $4, $5, $6, $7, 'queued', $8, $9, (SELECT cursor FROM ${this.#schema}.run WHERE id = $9))
       RETURNING ${runJson(this.#silentMs)} AS run`,
      [
        id,
        options.mode,
        storableJson(options),
        options.connectors,
        asker.trigger,
        storable(asker.name),
        idempotencyKey,
        storableJson(START),
        resumes,
      ],
    );
    await this.#client.query(
      `INSERT INTO ${this.#schema}.lease (connector, run) SELECT DISTINCT unnest($1::text[]), $2::uuid`,
      [options.connectors, id],
    );
    if (resumes !== null) {
      await this.#client.query(`UPDATE ${this.#schema}.run SET resumed_by = $1 WHERE id = $2`, [id, resumes]);
    }
    return JSON.parse(rows[0]!.run) as Run;
  }
}
