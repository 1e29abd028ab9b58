import type pg from 'pg';
import { quoteIdentifier } from '../postgres/identifier.ts';
import { TokenLost } from './broken-history.ts';
import { type Statement, statement } from './statement.ts';

/** What the checkpoint row says. */
export interface Checkpoint {
  /** The last applied unit; null while no full snapshot has begun. */
  position: Commit | null;
  offsets: Map<string, bigint>;
  /** The commit that the documents correspond to; while a full snapshot is filled in, also the live replica. */
  projected: Commit | null;
  /** A full snapshot that was asked for and has not begun. */
  request: { id: string; offsets: Map<string, bigint>; reason: string | null; tables: readonly string[] } | null;
  /** A full snapshot under way. */
  staging: { id: string; ended: boolean; tables: readonly string[] } | null;
  projectionHash: string | null;
}

/** A SIIRAyS commit. */
export interface Commit {
  history: number;
  seq: string;
  /** Its exclusive end LSN, decimal. */
  lsn: string;
  /** Its time in SIIRAyS, milliseconds since 1970. */
  committedMs: number;
}

/** Where a batch ends. */
export interface Position extends Commit {
  offsets: ReadonlyMap<string, bigint>;
}

function commitOf(history: number | null, seq: string | null, lsn: string | null, ms: string | null): Commit | null {
  return history === null ? null : { history, seq: seq!, lsn: lsn!, committedMs: Number(ms) };
}

interface Row {
  history: number | null;
  seq: string | null;
  lsn: string | null;
  committed_ms: string | null;
  offsets: Record<string, string>;
  projected_history: number | null;
  projected_seq: string | null;
  projected_lsn: string | null;
  projected_ms: string | null;
  request_id: string | null;
  request_offsets: Record<string, string> | null;
  request_reason: string | null;
  request_tables: string[] | null;
  staging_id: string | null;
  staging_ended: boolean;
  staging_tables: string[] | null;
  projection_hash: string | null;
}

/**
 * Reads and writes the checkpoint row under one token. Each write counts as a renewal of the lease: while its transaction
 * holds the row, nothing else can renew it, and who waits to take over finds it renewed.
 */
export class CheckpointStore {
  readonly token: string;
  readonly #table: string;
  readonly #advance: Statement;
  readonly #advanceProjected: Statement;
  readonly #project: Statement;

  constructor(syncSchema: string, token: string) {
    this.token = token;
    this.#table = `${quoteIdentifier(syncSchema)}.checkpoint`;
    const set = `history = $2, seq = $3, lsn = '0/0'::pg_lsn + $4::numeric, committed_at = to_timestamp($5::float8 / 1000),
      offsets = $6, applied_at = clock_timestamp(), renewals = renewals + 1`;
    const projected = `projected_history = $2, projected_seq = $3, projected_lsn = '0/0'::pg_lsn + $4::numeric,
      projected_committed_at = to_timestamp($5::float8 / 1000), projected_at = clock_timestamp()`;
    this.#advance = statement(`UPDATE ${this.#table} SET ${set} WHERE token = $1`);
    this.#advanceProjected = statement(`UPDATE ${this.#table} SET ${set}, ${projected} WHERE token = $1`);
    this.#project = statement(`UPDATE ${this.#table} SET ${projected}, renewals = renewals + 1 WHERE token = $1`);
  }

  async read(client: pg.ClientBase): Promise<Checkpoint> {
    const { rows } = await client.query<Row>(
      `SELECT history, seq::text, (lsn - '0/0')::text AS lsn, round(extract(epoch FROM committed_at) * 1000)::text AS committed_ms,
         offsets, projected_history, projected_seq::text, (projected_lsn - '0/0')::text AS projected_lsn,
         round(extract(epoch FROM projected_committed_at) * 1000)::text AS projected_ms, request_id::text, request_offsets, request_reason, request_tables, staging_id, staging_ended, staging_tables, projection_hash
       FROM ${this.#table}`,
    );
    const row = rows[0]!;
    return {
      position: commitOf(row.history, row.seq, row.lsn, row.committed_ms),
      offsets: readOffsets(row.offsets),
      projected: commitOf(row.projected_history, row.projected_seq, row.projected_lsn, row.projected_ms),
      request:
        row.request_id === null
          ? null
          : {
              id: row.request_id,
              offsets: readOffsets(row.request_offsets!),
              reason: row.request_reason,
              tables: row.request_tables ?? [],
            },
      staging:
        row.staging_id === null
          ? null
          : { id: row.staging_id, ended: row.staging_ended, tables: row.staging_tables ?? [] },
      projectionHash: row.projection_hash,
    };
  }

  /** The last statement of every apply transaction. @throws TokenLost: roll back */
  async advance(client: pg.ClientBase, position: Position, projected: boolean): Promise<void> {
    const { name, text } = projected ? this.#advanceProjected : this.#advance;
    const { history, seq, lsn, committedMs, offsets } = position;
    const values = [this.token, history, seq, lsn, committedMs, writeOffsets(offsets)];
    this.#held(await client.query({ name, text, values }));
  }

  /** Notes that the documents correspond to a commit now. The last statement of its transaction, too. */
  async project(client: pg.ClientBase, { history, seq, lsn, committedMs }: Commit): Promise<void> {
    const { name, text } = this.#project;
    this.#held(await client.query({ name, text, values: [this.token, history, seq, lsn, committedMs] }));
  }

  /**
   * Changes other columns: `set` is SQL from parameter $2 on. The last statement of its transaction, too.
   * @throws TokenLost: roll back
   */
  async update(client: pg.ClientBase, set: string, values: readonly unknown[] = []): Promise<void> {
    this.#held(
      await client.query(`UPDATE ${this.#table} SET renewals = renewals + 1, ${set} WHERE token = $1`, [
        this.token,
        ...values,
      ]),
    );
  }

  #held({ rowCount }: pg.QueryResult): void {
    if (rowCount !== 1) throw new TokenLost(`token ${this.token} is no longer valid: another consumer has taken over`);
  }
}

export function writeOffsets(offsets: ReadonlyMap<string, bigint>): string {
  return JSON.stringify(Object.fromEntries([...offsets].map(([topic, offset]) => [topic, String(offset)])));
}

function readOffsets(json: Record<string, string>): Map<string, bigint> {
  return new Map(Object.entries(json).map(([topic, offset]) => [topic, BigInt(offset)]));
}
