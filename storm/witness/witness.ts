import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { parseLsn } from '../../src/postgres/lsn.ts';
import { connect, disconnect, startupOptions, TEXT_VALUES, VALUE_SETTINGS } from '../../src/postgres/session.ts';
import type { Rows } from '../../test/connector/reference-projection.ts';
import type { TableShape } from './mirror.ts';
import { type Change, parseChange, type Row } from './test-decoding.ts';

/** A transaction that SIIRAyS committed. */
export interface Commit {
  /** From 1 on, in commit order. */
  n: number;
  xid: string;
  /** The end of its commit record, as the pipeline counts positions. */
  lsn: bigint;
  /** Changed rows; a TRUNCATE counts once for each table. */
  events: number;
  changes: Change[];
}

const SLOT = 'testigo';
const PAUSE_MS = 100;
/** A call gives whole transactions, at least this many rows where there are so many. */
const ROWS_A_CALL = 20_000;

/**
 * What SIIRAyS committed, told by a second slot and another plugin. It asks SIIRAyS directly, by peeking and then moving
 * the slot, so that nothing is lost when the server is killed between the two.
 */
export class Witness {
  readonly shapes: TableShape[];
  /** SIIRAyS's rows when the slot was made. */
  readonly start: Rows;
  /** The slot's consistent point. */
  readonly startLsn: bigint;
  readonly #url: string;
  readonly #onCommit: (commit: Commit) => void;
  readonly #ending = new AbortController();
  #client: pg.Client | undefined;
  #last: bigint;
  #n = 0;
  #passes = 0;
  #loop: Promise<void> = Promise.resolve();

  private constructor(url: string, start: Rows, shapes: TableShape[], at: bigint, onCommit: (commit: Commit) => void) {
    this.#url = url;
    this.start = start;
    this.shapes = shapes;
    this.#last = at;
    this.startLsn = at;
    this.#onCommit = onCommit;
  }

  /** Makes the slot and reads the tables. Nobody may write meanwhile. */
  static async begin(url: string, onCommit: (commit: Commit) => void): Promise<Witness> {
    const client = await session(url);
    const { rows } = await client.query<{ lsn: string }>(
      `SELECT lsn::text FROM pg_create_logical_replication_slot('${SLOT}', 'test_decoding')`,
    );
    const shapes = await readShapes(client);
    const start = await readTables(client, 'public', shapes);
    await disconnect(client);
    const witness = new Witness(url, start, shapes, parseLsn(rows[0]!.lsn), onCommit);
    witness.#loop = witness.#run();
    witness.#loop.catch(() => undefined);
    return witness;
  }

  /** Whole passes so far: what was flushed before a pass began has been told when it has ended. */
  get passes(): number {
    return this.#passes;
  }

  /** Fails with what the witness cannot read. */
  get failure(): Promise<never> {
    return this.#loop.then(() => new Promise<never>(() => undefined));
  }

  /** Tells the rest, where nobody writes any more, and drops the slot. @throws what the witness met */
  async end(): Promise<void> {
    const passes = this.#passes;
    while (this.#passes < passes + 2) await Promise.race([sleep(PAUSE_MS), this.#loop]);
    this.#ending.abort();
    await this.#loop;
    const client = await session(this.#url);
    await client.query(`SELECT pg_drop_replication_slot('${SLOT}')`);
    await disconnect(client);
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#loop.catch(() => undefined);
  }

  async #run(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      let rows: { lsn: string; xid: string; data: string }[];
      try {
        this.#client ??= await session(this.#url);
        rows = await this.#peek(this.#client);
        if (rows.length > 0) await this.#take(this.#client, rows);
      } catch (error) {
        if (error instanceof WitnessError) throw error;
        // SIIRAyS is being killed or stopped: what was not taken is told again.
        if (this.#client) await disconnect(this.#client);
        this.#client = undefined;
        await sleep(200);
        continue;
      }
      if (rows.length === 0) this.#passes++;
      await sleep(rows.length === 0 ? PAUSE_MS : 0);
    }
    if (this.#client) await disconnect(this.#client);
  }

  async #peek(client: pg.Client): Promise<{ lsn: string; xid: string; data: string }[]> {
    const { rows } = await client.query<{ lsn: string; xid: string; data: string }>(
      `SELECT lsn::text, xid::text, data
         FROM pg_logical_slot_peek_changes('${SLOT}', NULL, ${ROWS_A_CALL}, 'skip-empty-xacts', '1')`,
    );
    return rows;
  }

  async #take(client: pg.Client, rows: { lsn: string; xid: string; data: string }[]): Promise<void> {
    let changes: Change[] = [];
    let end = '';
    for (const { lsn, xid, data } of rows) {
      if (data.startsWith('BEGIN')) changes = [];
      else if (!data.startsWith('COMMIT')) changes.push(parsed(data));
      else {
        end = lsn;
        this.#commit(xid, parseLsn(lsn), changes);
      }
    }
    await client.query(`SELECT pg_replication_slot_advance('${SLOT}', $1::pg_lsn)`, [end]);
  }

  /** After a kill the slot may stand where it stood before: what was told is not told twice. */
  #commit(xid: string, lsn: bigint, changes: Change[]): void {
    if (lsn <= this.#last) return;
    this.#last = lsn;
    const events = changes.reduce((sum, change) => sum + (change.op === 'truncate' ? change.tables.length : 1), 0);
    this.#onCommit({ n: ++this.#n, xid, lsn, events, changes });
  }
}

/** What the witness cannot read: not a fault of a connection. */
class WitnessError extends Error {}

function parsed(line: string): Change {
  try {
    return parseChange(line);
  } catch (error) {
    throw new WitnessError((error as Error).message);
  }
}

function session(url: string): Promise<pg.Client> {
  const limits = { query_timeout: 60_000, connectionTimeoutMillis: 3_000 };
  // Each look would write four lines into the server's log.
  const options = startupOptions({ ...VALUE_SETTINGS, log_min_messages: 'fatal' });
  return connect({ connectionString: url, types: TEXT_VALUES, options, ...limits });
}

async function readShapes(client: pg.Client): Promise<TableShape[]> {
  const { rows } = await client.query<{ name: string; columns: string; key: string }>(
    `SELECT c.relname AS name,
            (SELECT json_agg(attname ORDER BY attnum) FROM pg_attribute
              WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns,
            coalesce((SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_index i
                        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
                       WHERE i.indrelid = c.oid AND i.indisprimary), '[]'::json) AS key
       FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'`,
  );
  return rows.map(({ name, columns, key }) => ({ name, columns: JSON.parse(columns), key: JSON.parse(key) }));
}

/** All rows of these tables in one snapshot. */
export async function readTables(client: pg.Client, schema: string, shapes: readonly TableShape[]): Promise<Rows> {
  const tables: Record<string, Row[]> = {};
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  for (const { name } of shapes) tables[name] = (await client.query<Row>(`SELECT * FROM "${schema}"."${name}"`)).rows;
  await client.query('COMMIT');
  return tables;
}
