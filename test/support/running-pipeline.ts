import assert from 'node:assert/strict';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { request } from 'undici';
import { type Stack, type StackOptions, startStack } from '../../embedded/stack.ts';
import { parseLsn } from '../../src/postgres/lsn.ts';
import { connect, disconnect, startupOptions, TEXT_VALUES, VALUE_SETTINGS } from '../../src/postgres/session.ts';
import {
  canonicalText,
  type Digits,
  type Json,
  parseDigits,
  type Rows,
  referenceDocuments,
} from '../connector/reference-projection.ts';
import { normalised } from './normalised-json.ts';
import { tempDir } from './temp-dir.ts';
import { until } from './until.ts';

export { normalised };

const START_MS = 120_000;
const SESSION = { types: TEXT_VALUES, options: startupOptions(VALUE_SETTINGS) };

/** The SIIRAyS commit that FASTAAPS says its set equals. */
interface Position {
  lsn: bigint;
  seq: bigint;
  history: number;
}

/** FASTAAPS's answer, not yet read. */
export interface Answer extends Position {
  text: string;
}

/** What FASTAAPS shows at one moment. */
export interface Shown extends Position {
  /** Canonical JSON text by id. */
  documents: Map<string, string>;
}

/** Reads an answer's documents. */
export function read({ text, ...position }: Answer): Shown {
  const list = parseDigits(text) as unknown as { informacion_general: { id_siirays: Digits } }[];
  const documents = new Map(
    list.map((document) => [
      document.informacion_general.id_siirays.digits,
      canonicalText(normalised(document as unknown as Json)),
    ]),
  );
  return { documents, ...position };
}

/** The whole pipeline as separate processes, in a folder and on ports of its own; ended after the test or suite. */
export class RunningPipeline {
  readonly stack: Stack;
  /** A session of SIIRAyS's owner; values come as text. */
  siirays: pg.Client;
  /** Sessions on `sync`; after a kill of its server there are new ones. */
  readonly sync: pg.Pool;

  private constructor(stack: Stack, siirays: pg.Client, sync: pg.Pool) {
    this.stack = stack;
    this.siirays = siirays;
    this.sync = sync;
  }

  /** A new session on SIIRAyS, whose server was ended meanwhile. */
  async reconnect(): Promise<void> {
    await disconnect(this.siirays);
    this.siirays = await connect({ connectionString: this.stack.endpoints.siirays, ...SESSION });
  }

  static async start(options: Partial<StackOptions> = {}): Promise<RunningPipeline> {
    const dir = tempDir('pipeline');
    // Most tests have no use for the reconciler; those that do leave out nothing.
    const without: StackOptions['without'] = ['reconciler'];
    const stack = await startStack({ dir: dir.path, ports: 'free', epsas: 120, without, ...options });
    const sync = new pg.Pool({ connectionString: stack.endpoints.sync, max: 2, ...SESSION });
    // A session that a kill of its server ended is no longer used.
    sync.on('error', () => undefined);
    let pipeline: RunningPipeline | undefined;
    after(async () => {
      if (pipeline) await disconnect(pipeline.siirays);
      await sync.end();
      await stack.stop();
      dir.remove();
    });
    if (!(options.without?.includes('consumer') || options.without?.includes('producer'))) {
      await Promise.race([stack.firstLoad(), tooLate('the first load')]);
    }
    const siirays = await connect({ connectionString: stack.endpoints.siirays, ...SESSION });
    pipeline = new RunningPipeline(stack, siirays, sync);
    return pipeline;
  }

  /** GET /registro/ as it is: documents and position of one statement. */
  async answer(): Promise<Answer> {
    const { endpoints } = this.stack;
    const response = await request(`${endpoints.fastaaps}/registro/?db_tag=sync`, {
      headers: { authorization: `Basic ${Buffer.from(endpoints.fastaapsAuth).toString('base64')}` },
    });
    assert.equal(response.statusCode, 200);
    const text = await response.body.text();
    const position = JSON.parse(String(response.headers['fastaaps-position'])) as Record<string, string | number>;
    return {
      text,
      lsn: parseLsn(String(position.lsn)),
      seq: BigInt(position.seq!),
      history: Number(position.history),
    };
  }

  /** The same, as soon as FASTAAPS answers again. */
  async answerWhenUp(): Promise<Answer> {
    const answer = await until(() => this.answer().catch(() => null), 'FASTAAPS to answer', 30_000);
    return answer!;
  }

  async shown(): Promise<Shown> {
    return read(await this.answer());
  }

  /** All rows of SIIRAyS, in one snapshot. */
  async siiraysRows(): Promise<Rows> {
    return allRows(this.siirays, 'public');
  }

  /**
   * Waits until FASTAAPS shows all that is committed in SIIRAyS, which must stand still, and compares everything: each
   * document with the reference projection, each row of the replica with SIIRAyS's, dead letters with the documents that
   * lack a required field.
   */
  async assertEqual(what: string, withinMs = 60_000): Promise<Shown> {
    const { rows } = await this.siirays.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
    // A change after that LSN shows when everything before it has come.
    const marker = `marca ${rows[0]!.lsn}`;
    const { rows: touched } = await this.siirays.query<{ id: string }>(
      `UPDATE epsa SET observacion = $1 WHERE id_epsa = (SELECT min(e.id_epsa) FROM epsa e
         WHERE NOT EXISTS (SELECT FROM unnest($2::text[]) AS d (id) WHERE d.id = e.id_epsa::text)) RETURNING id_epsa AS id`,
      [marker, await this.deadLetters()],
    );
    const id = touched[0]?.id;
    let shown = await this.shown();
    await until(
      async () => {
        shown = await this.shown();
        return id === undefined ? shown.documents.size === 0 : shown.documents.get(id)?.includes(marker);
      },
      `${what}: FASTAAPS to show the newest commit`,
      withinMs,
    );
    const siirays = await this.siiraysRows();
    const reference = referenceDocuments(siirays);
    const refused = [...reference].filter(([, { problems }]) => problems.length > 0).map(([key]) => key);
    assert.deepEqual((await this.deadLetters()).sort(), refused.sort(), `${what}: dead letters`);
    for (const [key, { document, problems }] of reference) {
      if (problems.length > 0) continue;
      assertSameText(shown.documents.get(key), canonicalText(normalised(document)), `${what}: document ${key}`);
    }
    for (const key of shown.documents.keys()) assert.ok(reference.has(key), `${what}: document ${key} should be gone`);
    const session = await this.sync.connect();
    const replica = await allRows(session, 'epsa').finally(() => session.release());
    for (const [table, rowsOfTable] of Object.entries(siirays)) {
      assert.deepEqual(bag(replica[table] ?? []), bag(rowsOfTable), `${what}: rows of ${table}`);
    }
    return shown;
  }

  /** Ids of dead letters. */
  async deadLetters(): Promise<string[]> {
    const { rows } = await this.sync.query<{ id: string }>('SELECT id FROM epsa_sync.dead_letter');
    return rows.map((row) => row.id);
  }
}

/** What happens at a file's top level is under no test's limit. */
async function tooLate(what: string): Promise<never> {
  await sleep(START_MS, undefined, { ref: false });
  throw new Error(`waited ${START_MS / 1000} s in vain for ${what}`);
}

/** Says where two texts differ, since whole documents are too long to be read. */
function assertSameText(actual: string | undefined, expected: string, what: string): void {
  if (actual === expected) return;
  if (actual === undefined) assert.fail(`${what} is missing`);
  let at = 0;
  while (actual[at] === expected[at]) at++;
  const around = (text: string): string => text.slice(Math.max(0, at - 60), at + 60);
  assert.fail(`${what} differs at ${at}: has …${around(actual)}…, should have …${around(expected)}…`);
}

async function allRows(client: pg.ClientBase, schema: string): Promise<Rows> {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    const { rows: tables } = await client.query<{ name: string; counted: string | null; hidden: string | null }>(
      `SELECT c.relname AS name,
              (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attname LIKE '%\\_count' AND NOT attisdropped) AS counted,
              (SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attname LIKE '%\\_hash' AND NOT attisdropped) AS hidden
         FROM pg_class c WHERE c.relnamespace = to_regnamespace($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition`,
      [schema],
    );
    const result: Record<string, Record<string, string | null>[]> = {};
    for (const { name, counted, hidden } of tables) {
      const repeated = counted ? `, generate_series(1, t."${counted}")` : '';
      const { rows } = await client.query(`SELECT t.* FROM "${schema}"."${name}" t${repeated}`);
      result[name] = rows.map((row) => {
        if (counted) delete row[counted];
        if (hidden) delete row[hidden];
        return row;
      });
    }
    return result;
  } finally {
    await client.query('COMMIT');
  }
}

function bag(rows: readonly object[]): string[] {
  return rows.map((row) => JSON.stringify(Object.entries(row).sort())).sort();
}
