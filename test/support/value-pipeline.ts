import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import pg from 'pg';
import { SIIRAYS_DATABASE, SYNC_ROLE } from '../../embedded/stack/siirays-database.ts';
import type { StackOptions } from '../../embedded/stack.ts';
import { replicaTableName } from '../../src/consumer/replica-names.ts';
import { escapeName } from '../../src/kafka/names.ts';
import { topicsFor } from '../../src/kafka/topics.ts';
import { quoteIdentifier, quoteRelation } from '../../src/postgres/identifier.ts';
import { RunningPipeline } from './running-pipeline.ts';
import { tempDir } from './temp-dir.ts';
import { type AvroRow, avroText, rowsOfTopics, type TopicRows } from './topic-rows.ts';
import { until } from './until.ts';

/** A table of SIIRAyS that the connector of the test names. */
export interface TestTable {
  schema: string;
  name: string;
  /** Columns of its key; empty where it has none. */
  key: readonly string[];
  /** Shown in documents: by this column of the table (an integer) it belongs to an EPSA. */
  by: string;
  /** Column that orders the rows in a document. */
  order: string;
  /** Columns that documents show. */
  shown: readonly string[];
}

/** Settings under which a careless session would send other texts, or read ours otherwise. */
export const HOSTILE: Readonly<Record<string, string>> = {
  DateStyle: 'SQL, DMY',
  IntervalStyle: 'sql_standard',
  TimeZone: 'America/La_Paz',
  bytea_output: 'escape',
  extra_float_digits: '0',
  xmlbinary: 'hex',
  xmloption: 'document',
  array_nulls: 'off',
  quote_all_identifiers: 'on',
  standard_conforming_strings: 'off',
  transform_null_equals: 'on',
  escape_string_warning: 'off',
};

/** The whole pipeline over tables of the test's own in SIIRAyS, for one EPSA. */
export class ValuePipeline {
  readonly pipeline: RunningPipeline;
  readonly siirays: pg.Client;
  readonly sync: pg.Pool;
  tables: readonly TestTable[] = [];
  readonly #connectorsDir: string;
  /** Warnings and errors in the logs. */
  readonly #complaints: readonly string[];
  #marks = 0;

  private constructor(pipeline: RunningPipeline, connectorsDir: string, complaints: readonly string[]) {
    this.#complaints = complaints;
    this.pipeline = pipeline;
    this.siirays = pipeline.siirays;
    this.sync = pipeline.sync;
    this.#connectorsDir = connectorsDir;
  }

  /** Starts all but the processes of the pipeline itself. */
  static async prepare(options: Partial<StackOptions> = {}): Promise<ValuePipeline> {
    const dir = tempDir('connector');
    after(() => dir.remove());
    const connectorsDir = join(dir.path, 'connectors');
    mkdirSync(connectorsDir);
    writeConnector(connectorsDir, []);
    const complaints: string[] = [];
    const pipeline = await RunningPipeline.start({
      ...{
        epsas: 1,
        load: oneEpsa,
        connectorsDir,
        without: ['producer', 'consumer', 'reconciler', 'fastaaps'],
        ...options,
      },
      onLog: (name, line) => {
        const { level, msg } = JSON.parse(line) as { level: string; msg: string };
        if (level === 'warn' || level === 'error' || level === 'fatal') complaints.push(`${name}: ${msg}`);
      },
    });
    return new ValuePipeline(pipeline, connectorsDir, complaints);
  }

  /** Does something as a superuser of SIIRAyS. */
  async asSuperuser<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ connectionString: this.pipeline.stack.superuserUrl() });
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  /** Sets hostile settings for SIIRAyS's server, its database, and our role in it, and for our own database. */
  async makeHostile(more: Readonly<Record<string, string>> = {}): Promise<void> {
    const statements = (what: string): string[] =>
      Object.entries({ ...HOSTILE, ...more }).map(([name, value]) => `${what} SET ${name} = '${value}'`);
    await this.asSuperuser(async (client) => {
      for (const statement of statements('ALTER SYSTEM')) await client.query(statement);
      for (const statement of statements(`ALTER DATABASE ${SIIRAYS_DATABASE}`)) await client.query(statement);
      for (const statement of statements(`ALTER ROLE ${SYNC_ROLE}`)) await client.query(statement);
      await client.query('SELECT pg_reload_conf()');
    });
    for (const statement of statements('ALTER DATABASE sync')) await this.sync.query(statement);
    // The test's own statements mean what they say.
    await this.siirays.query(
      'SET array_nulls = on; SET standard_conforming_strings = on; SET transform_null_equals = off',
    );
  }

  /** Publishes the tables, lets our role read them, names them in the connector, and starts the pipeline. */
  async start(tables: readonly TestTable[]): Promise<void> {
    this.tables = [...tables, MARKS];
    await this.siirays.query('CREATE TABLE marca_de_prueba (id integer PRIMARY KEY, id_epsa integer, v text)');
    for (const { schema, name } of this.tables) {
      const relation = quoteRelation(schema, name);
      await this.siirays.query(`GRANT USAGE ON SCHEMA ${quoteIdentifier(schema)} TO ${SYNC_ROLE};
        GRANT SELECT ON ${relation} TO ${SYNC_ROLE}; ALTER PUBLICATION siirays_sync ADD TABLE ${relation}`);
    }
    writeConnector(this.#connectorsDir, this.tables);
    const { stack } = this.pipeline;
    await stack.start('fastaaps');
    for (const name of ['producer', 'consumer', 'reconciler'] as const) await stack.start(name);
    await this.#until(async () => (await this.pipeline.answer().catch(() => null)) !== null, 'the first load', 45_000);
  }

  /** Says what the processes complained of where it waits in vain. */
  async #until(condition: () => Promise<boolean>, what: string, withinMs: number): Promise<void> {
    await until(condition, what, withinMs).catch((error: Error) => {
      throw new Error(`${error.message}; the processes said: ${this.#complaints.slice(-3).join('\n')}`);
    });
  }

  /** Waits until the replica is past all that is committed in SIIRAyS. */
  async settled(): Promise<void> {
    const id = ++this.#marks;
    await this.siirays.query('INSERT INTO marca_de_prueba VALUES ($1)', [id]);
    await this.#until(
      async () => (await this.sync.query(`SELECT FROM epsa.marca_de_prueba WHERE id = ${id}`)).rowCount === 1,
      'the replica to reach the newest commit',
      30_000,
    );
  }

  /** Every row of every table is the same in SIIRAyS and in the replica, as text and, where it can be, as type. */
  async assertReplicaEqual(what: string): Promise<void> {
    await this.settled();
    for (const { schema, name, key } of this.tables) {
      const wanted = await this.#rows(schema, name);
      const list = wanted.columns.map((column) => `t.${quoteIdentifier(column)}`).join(', ');
      const counted = key.length > 0 ? '' : `, generate_series(1, t.${quoteIdentifier(countColumn(wanted.columns))})`;
      const relation = quoteRelation('epsa', replicaTableName({ schema, table: name }));
      const { rows } = await this.sync.query<(string | null)[]>({
        ...{ text: `SELECT ${list} FROM ${relation} AS t${counted}`, rowMode: 'array' },
      });
      assertSameRows(rows, wanted.rows, wanted.columns, `${what}: replica of ${name}`);
    }
  }

  /** The topics say the same, read by others' programs. */
  async assertTopicsEqual(what: string): Promise<Map<string, TopicRows>> {
    await this.settled();
    const { endpoints } = this.pipeline.stack;
    const topics = topicsFor('siirays');
    const byTable = await rowsOfTopics(
      { kafka: endpoints.kafka, registry: `${endpoints.registry}/apis/ccompat/v7` },
      this.tables.map(({ schema, name, key }) => ({ topic: topics.table(schema, name), keyless: key.length === 0 })),
    );
    const result = new Map<string, TopicRows>();
    for (const table of this.tables) {
      const said = byTable.get(topics.table(table.schema, table.name))!;
      result.set(table.name, said);
      const { rows, columns, types } = await this.#rows(table.schema, table.name);
      const told = columns.map((name) => name !== NO_PROPERTY);
      const texts = said.rows.map((row) => columns.filter((_, i) => told[i]).map((name) => text(row, name)));
      const wanted = rows.map((row) => row.map((cell, i) => asAvroText(cell, types[i]!)).filter((_, i) => told[i]));
      assertSameRows(
        texts,
        wanted,
        columns.filter((_, i) => told[i]),
        `${what}: topic of ${table.name}`,
      );
    }
    return result;
  }

  /** SIIRAyS's rows, without generated columns, which are not published. */
  async #rows(schema: string, table: string): Promise<Table> {
    const relation = quoteRelation(schema, table);
    const { rows: columns } = await this.siirays.query<{ name: string }>(
      `SELECT attname AS name FROM pg_attribute
        WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`,
      [relation],
    );
    const list = columns.map(({ name }) => quoteIdentifier(name)).join(', ');
    const { rows, fields } = await this.siirays.query<(string | null)[]>({
      ...{ text: `SELECT ${list} FROM ${relation}`, rowMode: 'array' },
    });
    return { columns: columns.map(({ name }) => name), types: fields.map(({ dataTypeID }) => dataTypeID), rows };
  }
}

/** The column with which the replica counts equal rows: it has a name that no column of SIIRAyS has. */
function countColumn(columns: readonly string[]): string {
  let name = '_count';
  while (columns.includes(name)) name = `_${name}`;
  return name;
}

/** The root of the one document. */
async function oneEpsa(client: pg.Client): Promise<{ rows: number }> {
  await client.query(`INSERT INTO epsa (id_epsa, nombre_epsa) VALUES (1, 'Única')`);
  return { rows: 1 };
}

interface Table {
  columns: string[];
  types: number[];
  rows: (string | null)[][];
}

const MARKS: TestTable = {
  ...{ schema: 'public', name: 'marca_de_prueba', key: ['id'], by: 'id_epsa', order: 'id', shown: ['v'] },
};

/** A connector of one document per EPSA that shows every table. JSON is YAML. */
function writeConnector(dir: string, tables: readonly TestTable[]): void {
  const sections = Object.fromEntries(
    tables.map(({ schema, name, by, order, shown }, i) => [
      `tabla_${i}`,
      {
        ...{
          shape: 'list',
          rows: `${quoted(schema)}.${quoted(name)}`,
          by: { id_epsa: quoted(by) },
          key: quoted(order),
        },
        fields: Object.fromEntries(shown.map((column, place) => [`campo ${place}`, quoted(column)])),
      },
    ]),
  );
  const connector = {
    source: { kind: 'postgres', schema: 'public' },
    target: { path: '/registro', tag: 'sync', adapter: 'changes' },
    root: { table: 'epsa', id: 'id_epsa' },
    sections: {
      informacion_general: {
        ...{ shape: 'object', required: true, rows: 'epsa' },
        fields: { id_siirays: { column: 'id_epsa', type: 'integer', required: true }, nombre: 'nombre_epsa' },
      },
      ...sections,
    },
  };
  writeFileSync(join(dir, 'epsa.yaml'), JSON.stringify(connector, null, 1));
}

/** A name in a connector file: in quotation marks where it holds a dot or begins with one. */
function quoted(name: string): string {
  return /^"|\./.test(name) ? quoteIdentifier(name) : name;
}

/** The library's decoded record is a JavaScript object, which holds no such column. */
const NO_PROPERTY = '__proto__';

const FLOAT4 = 700;
const FLOAT8 = 701;

function asAvroText(cell: string | null, type: number): string | null {
  if (cell === null) return null;
  if (type === FLOAT4) return avroText(Math.fround(Number(cell)));
  return type === FLOAT8 ? avroText(Number(cell)) : cell;
}

function text(row: AvroRow, column: string): string | null {
  const value = row[escapeName(column)];
  assert.notEqual(value, undefined, `a field for ${column}`);
  return avroText(value!);
}

/** Rows in any order; a difference is told by its columns only, since values may be very long. */
function assertSameRows(
  found: readonly (string | null)[][],
  wanted: readonly (string | null)[][],
  columns: readonly string[],
  what: string,
): void {
  const left = new Map<string, number>();
  for (const row of found) left.set(JSON.stringify(row), (left.get(JSON.stringify(row)) ?? 0) + 1);
  const missing = wanted.filter((row) => {
    const count = left.get(JSON.stringify(row)) ?? 0;
    if (count > 0) left.set(JSON.stringify(row), count - 1);
    return count === 0;
  });
  const surplus = [...left].flatMap(([row, count]) => (count > 0 ? [JSON.parse(row) as (string | null)[]] : []));
  if (missing.length === 0 && surplus.length === 0) return;
  const nearest = surplus.map((row) => ({ row, like: row.filter((cell, i) => cell === missing[0]?.[i]).length }));
  const best = nearest.sort((a, b) => b.like - a.like)[0]?.row;
  const unlike = columns.flatMap((column, i) =>
    missing[0] && best && missing[0][i] !== best[i] ? [`${column}: ${told(best[i])} for ${told(missing[0][i])}`] : [],
  );
  assert.fail(
    `${what}: ${missing.length} rows are missing, ${surplus.length} surplus, of ${wanted.length}; ${unlike.slice(0, 8).join('; ') || `${told(missing[0]?.join())} / ${told(surplus[0]?.join())}`}`,
  );
}

function told(value: string | null | undefined): string {
  return JSON.stringify(value)?.slice(0, 120) ?? 'none';
}
