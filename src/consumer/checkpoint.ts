import type pg from 'pg';
import { quoteIdentifier } from '../postgres/identifier.ts';
import { TokenLost } from './broken-history.ts';
import { type Statement, statement } from './statement.ts';

/** What the checkpoint row says. */
export interface Checkpoint {
  /** The last applied unit; null while no full snapshot has begun. */
  position: { history: number; seq: bigint } | null;
  /** Exclusive end LSN of the last applied commit, decimal. */
  lsn: string;
  /** Commit time in SIIRAyS, milliseconds since 1970. */
  committedMs: number;
  offsets: Map<string, bigint>;
  /** The commit that the documents correspond to. */
  projectedSeq: bigint | null;
  /** A full snapshot that was asked for and has not begun. */
  request: { id: string; offsets: Map<string, bigint> } | null;
  /** A full snapshot under way. */
  staging: { id: string; ended: boolean } | null;
  projectionHash: string | null;
}

/** Where a batch ends. */
export interface Position {
  history: number;
  seq: string;
  /** Decimal. */
  lsn: string;
  /** Commit time in SIIRAyS, milliseconds since 1970. */
  committedMs: number;
  offsets: ReadonlyMap<string, bigint>;
}

interface Row {
  history: number | null;
  seq: string | null;
  lsn: string | null;
  committed_ms: string | null;
  offsets: Record<string, string>;
  projected_seq: string | null;
  request_id: string | null;
  request_offsets: Record<string, string> | null;
  staging_id: string | null;
  staging_ended: boolean;
  projection_hash: string | null;
}

/** Reads and writes the checkpoint row under one token. */
export class CheckpointStore {
  readonly token: string;
  readonly #table: string;
  readonly #advance: Statement;
  readonly #advanceProjected: Statement;

  constructor(syncSchema: string, token: string) {
    this.token = token;
    this.#table = `${quoteIdentifier(syncSchema)}.checkpoint`;
    const set = `history = $2, seq = $3, lsn = '0/0'::pg_lsn + $4::numeric, committed_at = to_timestamp($5::float8 / 1000),
      offsets = $6, applied_at = clock_timestamp()`;
    const projected = `projected_history = $2, projected_seq = $3, projected_lsn = '0/0'::pg_lsn + $4::numeric,
      projected_committed_at = to_timestamp($5::float8 / 1000), projected_at = clock_timestamp()`;
    this.#advance = statement(`UPDATE ${this.#table} SET ${set} WHERE token = $1`);
    this.#advanceProjected = statement(`UPDATE ${this.#table} SET ${set}, ${projected} WHERE token = $1`);
  }

  async read(client: pg.ClientBase): Promise<Checkpoint> {
    const { rows } = await client.query<Row>(
      `SELECT history, seq::text, (lsn - '0/0')::text AS lsn, round(extract(epoch FROM committed_at) * 1000)::text AS committed_ms,
         offsets, projected_seq::text, request_id::text, request_offsets, staging_id, staging_ended, projection_hash
       FROM ${this.#table}`,
    );
    const row = rows[0]!;
    return {
      position: row.history === null ? null : { history: row.history, seq: BigInt(row.seq!) },
      lsn: row.lsn ?? '0',
      committedMs: Number(row.committed_ms ?? 0),
      offsets: readOffsets(row.offsets),
      projectedSeq: row.projected_seq === null ? null : BigInt(row.projected_seq),
      request: row.request_id === null ? null : { id: row.request_id, offsets: readOffsets(row.request_offsets!) },
      staging: row.staging_id === null ? null : { id: row.staging_id, ended: row.staging_ended },
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

  /**
   * Changes other columns: `set` is SQL from parameter $2 on. The last statement of its transaction, too.
   * @throws TokenLost: roll back
   */
  async update(client: pg.ClientBase, set: string, values: readonly unknown[] = []): Promise<void> {
    this.#held(await client.query(`UPDATE ${this.#table} SET ${set} WHERE token = $1`, [this.token, ...values]));
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
