/** SIIRAyS and its replica in two databases, the one filled by SQL, the other as the consumer does it. */
import { after } from 'node:test';
import pg from 'pg';
import { type CatalogTable, readCatalog } from '../../../src/connector/catalog.ts';
import type { CompiledConnector, TableRef } from '../../../src/connector/compiled.ts';
import { BatchWriter } from '../../../src/consumer/batch-writer.ts';
import type { ReplicaTable } from '../../../src/consumer/replica-tables.ts';
import type { TableShape } from '../../../src/kafka/change-event.ts';
import { quoteIdentifier, quoteRelation } from '../../../src/postgres/identifier.ts';
import {
  connect,
  disconnect,
  SOURCE_SETTINGS,
  setLocal,
  startupOptions,
  TEXT_VALUES,
  VALUE_SETTINGS,
} from '../../../src/postgres/session.ts';
import type { RowCandidate } from '../../../src/reconciler/rows/row-candidate.ts';
import { RowComparison, type RowComparisonOptions } from '../../../src/reconciler/rows/row-comparison.ts';
import { SiiraysReader } from '../../../src/reconciler/siirays-reader.ts';
import { eventOf, shapeOf } from '../../consumer/change-events.ts';
import { blindConnector, createSync, type SyncDatabase } from '../../consumer/sync-database.ts';
import type { Cells } from '../../consumer/table-model.ts';
import { type TestDatabase, testDatabase } from '../../support/postgres.ts';

export interface Scanned {
  candidates: RowCandidate[];
  compared: number;
  total: number;
  /** Cursors of all ranges, in order. */
  cursors: unknown[];
}

export class RowsRig {
  readonly siirays: pg.Client;
  readonly sync: SyncDatabase;
  readonly connector: CompiledConnector;
  readonly shapes: ReadonlyMap<string, TableShape>;
  /** Signals that the comparison sent. */
  readonly signals: { table: TableRef; keys: string[][] }[] = [];
  readonly notComparable: Record<string, string> = {};
  readonly #urls: { siirays: string; sync: string };
  readonly #closed: (() => Promise<void>)[] = [];

  private constructor(
    siirays: pg.Client,
    sync: SyncDatabase,
    connector: CompiledConnector,
    shapes: Map<string, TableShape>,
    urls: { siirays: string; sync: string },
  ) {
    this.siirays = siirays;
    this.sync = sync;
    this.connector = connector;
    this.shapes = shapes;
    this.#urls = urls;
  }

  /** Makes the tables in SIIRAyS and, empty, in the replica; a connector without documents unless one is given. */
  static async create(
    siiraysUrl: string,
    syncUrl: string,
    ddl: string,
    load?: (catalog: readonly CatalogTable[]) => CompiledConnector,
  ): Promise<RowsRig> {
    const siirays = await connect({
      connectionString: siiraysUrl,
      types: TEXT_VALUES,
      options: startupOptions(VALUE_SETTINGS),
    });
    await siirays.query(ddl);
    const catalog = await readCatalog(siirays, ['public']);
    const connector = load?.(catalog) ?? {
      ...blindConnector('c'),
      tables: catalog.map(({ schema, table, types }) => ({ schema, table, columns: Object.keys(types) })),
    };
    const sync = await createSync(syncUrl, connector);
    const shapes = new Map(catalog.map((table) => [table.table, shapeFor(table)]));
    for (const { table } of connector.tables) await sync.replica.live.tables.ensure(sync.client, shapes.get(table)!);
    const rig = new RowsRig(siirays, sync, connector, shapes, { siirays: siiraysUrl, sync: syncUrl });
    after(() => rig.close());
    return rig;
  }

  /** A comparison over both; ranges of a few rows unless told otherwise. */
  comparison(options: Partial<RowComparisonOptions> = {}): RowComparison {
    const siirays = new SiiraysReader({
      url: this.#urls.siirays,
      lockTimeoutMs: 2_000,
      share: 1,
      signal: new AbortController().signal,
    });
    const comparison = new RowComparison({
      connector: this.connector,
      schemas: this.sync.schemas,
      syncUrl: this.#urls.sync,
      siirays,
      tables: null,
      rows: async (table, keys) => void this.signals.push({ table, keys }),
      onNotComparable: (table, reason) => {
        this.notComparable[table] = reason;
      },
      minRangeRows: 2,
      maxRangeRows: 5,
      ...options,
    });
    this.#closed.push(
      () => comparison.close(),
      () => siirays.close(),
    );
    return comparison;
  }

  /** Goes through a whole scan of a comparison made for it. */
  async scan(options: Partial<RowComparisonOptions> = {}, from: unknown = null): Promise<Scanned> {
    const comparison = this.comparison(options);
    const all: Scanned = { candidates: [], compared: 0, total: 0, cursors: [] };
    for await (const range of comparison.scan(from, new AbortController().signal)) {
      all.candidates.push(...range.candidates);
      all.compared += range.compared;
      all.total = range.total;
      all.cursors.push(JSON.parse(JSON.stringify(range.cursor)));
    }
    await this.#closeComparisons();
    return all;
  }

  /** Looks at candidates again, with a comparison made for it. */
  async look(candidates: readonly RowCandidate[]): Promise<RowCandidate[]> {
    const differing = await this.comparison().look(candidates);
    await this.#closeComparisons();
    return differing;
  }

  /** Makes the replica's table what SIIRAyS's is, through the consumer's own writer. */
  async copy(table: string): Promise<void> {
    const shape = this.shapes.get(table)!;
    const columns = shape.columns.map(({ name }) => quoteIdentifier(name)).join(', ');
    const relation = quoteRelation('public', table);
    const { rows: kinds } = await this.siirays.query<{ kind: string }>(
      'SELECT relkind AS kind FROM pg_class WHERE oid = $1::regclass',
      [relation],
    );
    // As the producer reads: the text of names in values follows the search_path.
    await this.siirays.query(`BEGIN; ${setLocal(SOURCE_SETTINGS)}`);
    const { rows } = await this.siirays.query<Cells>({
      text: `SELECT ${columns} FROM ${kinds[0]!.kind === 'p' ? '' : 'ONLY '}${relation}`,
      rowMode: 'array',
    });
    await this.siirays.query('COMMIT');
    await this.fillReplica(table, rows);
  }

  /** Puts just these rows into the replica's table, through the consumer's own writer. */
  async fillReplica(table: string, rows: readonly Cells[]): Promise<void> {
    const shape = this.shapes.get(table)!;
    await this.sync.client.query(`DELETE FROM ${this.replica(table).relation}`);
    const writer = new BatchWriter(this.sync.client, this.sync.replica.live);
    if (rows.length > 0) {
      writer.add(
        0,
        rows.map((row) => eventOf(shape, { op: 'c', after: row })),
      );
    }
    await writer.flush();
    await writer.commit();
  }

  async copyAll(): Promise<void> {
    for (const { table } of this.connector.tables) await this.copy(table);
  }

  replica(table: string): ReplicaTable {
    return this.sync.replica.live.tables.get({ schema: 'public', table })!;
  }

  async close(): Promise<void> {
    await this.#closeComparisons();
    await disconnect(this.siirays);
    await disconnect(this.sync.client);
  }

  async #closeComparisons(): Promise<void> {
    for (const close of this.#closed.splice(0)) await close();
  }
}

/** Keys of candidates as `table:key,key`, sorted; a row of a table without a key as `table:#`. */
export function keysOf(candidates: readonly RowCandidate[]): string[] {
  return candidates.map(({ table, keys }) => `${table.replace('public.', '')}:${keys?.join() ?? '#'}`).sort();
}

/** Another database on the server of a test's database, with a locale or an encoding of its own. */
export async function databaseLike(name: string, clauses: string): Promise<TestDatabase> {
  const database = await testDatabase();
  const admin = new pg.Client({ connectionString: database.server.url() });
  await admin.connect();
  try {
    await admin.query(`DROP DATABASE ${database.name}`);
    await admin.query(`CREATE DATABASE ${database.name} TEMPLATE template0 ${clauses}`);
  } catch (error) {
    throw new Error(`no database ${name} on this server`, { cause: error });
  } finally {
    await admin.end();
  }
  return database;
}

/** Identity columns in the order of the table, as the producer's catalogue gives them. */
function shapeFor({ table, types, key }: CatalogTable): TableShape {
  return shapeOf(
    table,
    types as Record<string, string>,
    Object.keys(types).filter((name) => key.includes(name)),
  );
}
