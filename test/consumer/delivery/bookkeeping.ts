import { join } from 'node:path';
import { after } from 'node:test';
import pg from 'pg';
import { migrate } from '../../../src/postgres/migrate.ts';
import { testDatabase } from '../../support/postgres.ts';

export const SCHEMA = 'epsa_sync';
const MIGRATIONS = join(import.meta.dirname, '../../../src/consumer/migrations');

/** A sync database whose projection is done by hand: a document is whatever the test says. */
export class Bookkeeping {
  readonly pool: pg.Pool;
  /** What the replica would project: id and body. */
  readonly truth = new Map<string, string>();
  private seq = 0;
  private history = 1;

  constructor(pool: pg.Pool) {
    this.pool = pool;
  }

  /** A new history of SIIRAyS begins. */
  newHistory(): void {
    this.history += 1;
    this.seq = 0;
  }

  /** One commit of SIIRAyS: these documents are others now (null: gone). Projects them with all marks. */
  async commit(changes: Record<string, string | null> = {}): Promise<void> {
    for (const [id, body] of Object.entries(changes)) {
      if (body === null) this.truth.delete(id);
      else this.truth.set(id, body);
    }
    this.seq += 1;
    await this.project(Object.keys(changes));
  }

  /** Projects marked documents without a new commit. */
  async projectMarks(): Promise<void> {
    await this.project([]);
  }

  async query<T extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<T[]> {
    return (await this.pool.query<T>(sql.replaceAll(':s', SCHEMA), values)).rows;
  }

  private async project(ids: string[]): Promise<void> {
    const client = await this.pool.connect();
    try {
      await client.query(`BEGIN; LOCK TABLE ${SCHEMA}.outbox IN SHARE ROW EXCLUSIVE MODE`);
      const marks = await client.query<{ id: string }>(`DELETE FROM ${SCHEMA}.mark RETURNING id`);
      const all = [...new Set([...ids, ...marks.rows.map((row) => row.id)])];
      const bodies = all.map((id) => this.truth.get(id) ?? null);
      await client.query(
        `WITH changed AS MATERIALIZED (
           SELECT t.id, t.body, c.epoch, nextval('${SCHEMA}.outbox_version') AS version
             FROM unnest($1::text[], $2::text[]) AS t (id, body), ${SCHEMA}.checkpoint AS c),
         documents AS (
           INSERT INTO ${SCHEMA}.document (id, epoch, version, deleted) SELECT id, epoch, version, body IS NULL FROM changed
           ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, version = excluded.version, deleted = excluded.deleted),
         versions AS (
           INSERT INTO ${SCHEMA}.document_version (id, epoch, version, body, history, seq, lsn)
           SELECT id, epoch, version, body, $3, $4::bigint, '0/0'::pg_lsn + $4::bigint FROM changed),
         cured AS (DELETE FROM ${SCHEMA}.dead_letter AS l USING changed AS c WHERE l.id = c.id)
         INSERT INTO ${SCHEMA}.outbox (id, epoch, version) SELECT id, epoch, version FROM changed
         ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, version = excluded.version`,
        [all, bodies, this.history, this.seq],
      );
      await client.query(
        `UPDATE ${SCHEMA}.checkpoint SET projected_history = $1, projected_seq = $2::bigint,
           projected_lsn = '0/0'::pg_lsn + $2::bigint, projected_committed_at = now(), projected_at = now()`,
        [this.history, this.seq],
      );
      await client.query('COMMIT');
    } finally {
      client.release();
    }
  }
}

/** A fresh sync database with the real migrations and token 1. */
export async function startBookkeeping(): Promise<Bookkeeping> {
  const { url } = await testDatabase();
  const pool = new pg.Pool({ connectionString: url, max: 10 });
  pool.on('error', () => undefined);
  after(() => pool.end());
  const client = await pool.connect();
  try {
    await migrate(client, MIGRATIONS, SCHEMA);
    await client.query(`UPDATE ${SCHEMA}.checkpoint SET token = 1`);
  } finally {
    client.release();
  }
  return new Bookkeeping(pool);
}
