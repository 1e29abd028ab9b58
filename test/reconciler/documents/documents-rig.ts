/** A replica with the sample in it, its bookkeeping, and the reference service that its documents are delivered to. */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import pg from 'pg';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { modelsOf } from '../../../embedded/fastaaps/model.ts';
import { loadSample } from '../../../embedded/siirays/sample.ts';
import type { CompiledConnector } from '../../../src/connector/compiled.ts';
import { loadConnectors } from '../../../src/connector/load.ts';
import { BatchWriter } from '../../../src/consumer/batch-writer.ts';
import { createDelivery } from '../../../src/consumer/delivery/delivery.ts';
import type { Replica } from '../../../src/consumer/replica.ts';
import type { ConnectorSchemas } from '../../../src/consumer/replica-names.ts';
import type { FastaapsClient } from '../../../src/fastaaps/client.ts';
import { disconnect } from '../../../src/postgres/session.ts';
import type { Comparison, Range } from '../../../src/reconciler/comparison.ts';
import type { DocumentCandidate } from '../../../src/reconciler/documents/document-candidate.ts';
import { DocumentComparison } from '../../../src/reconciler/documents/document-comparison.ts';
import { SetComparison } from '../../../src/reconciler/documents/set-comparison.ts';
import { SiiraysDatabase } from '../../connector/siirays-database.ts';
import { eventOf, shapeOf } from '../../consumer/change-events.ts';
import { createSync } from '../../consumer/sync-database.ts';
import { clientOf, startReference } from '../../fastaaps/reference.ts';
import { testDatabase } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';

export interface RigOptions {
  epsas: number;
  adapter: 'changes' | 'restore';
  /** SQL on SIIRAyS after the sample was loaded. */
  siiraysSql?: string;
}

export class DocumentsRig {
  readonly connector: CompiledConnector;
  readonly schemas: ConnectorSchemas;
  readonly syncUrl: string;
  /** The consumer's session. */
  readonly sync: pg.Client;
  readonly fastaapsDatabase: pg.Pool;
  readonly fastaaps: FastaapsClient;
  /** What the comparison for the adapter `restore` warned of. */
  readonly warnings: string[] = [];
  readonly #pool: pg.Pool;
  readonly #replica: Replica;
  #seq = 0;

  private constructor(
    connector: CompiledConnector,
    syncUrl: string,
    { client, schemas, replica }: Awaited<ReturnType<typeof createSync>>,
    service: { url: string; databaseUrl: string },
  ) {
    this.connector = connector;
    this.schemas = schemas;
    this.syncUrl = syncUrl;
    this.sync = client;
    this.#replica = replica;
    this.#pool = new pg.Pool({ connectionString: syncUrl, max: 5 });
    this.fastaapsDatabase = new pg.Pool({ connectionString: service.databaseUrl, max: 2 });
    this.fastaaps = clientOf(service.url);
    // The databases are dropped before the pools are ended.
    for (const pool of [this.#pool, this.fastaapsDatabase]) pool.on('error', () => undefined);
    after(async () => {
      await disconnect(client);
      await this.#pool.end();
      await this.fastaapsDatabase.end();
    });
  }

  /** Everything is delivered. */
  static async start({ epsas, adapter, siiraysSql }: RigOptions): Promise<DocumentsRig> {
    const siirays = await SiiraysDatabase.create((await testDatabase()).url);
    await loadSample(siirays.client, { epsas, broken: false });
    if (siiraysSql) await siirays.client.query(siiraysSql);
    const epsa = loadConnectors('connectors', siirays.catalog).find(({ name }) => name === 'epsa')!;
    const connector: CompiledConnector = { ...epsa, target: { ...epsa.target, adapter } };
    const service = await startReference({ models: modelsOf([connector]), likeToday: adapter === 'restore' });
    const { url } = await testDatabase();
    const rig = new DocumentsRig(connector, url, await createSync(url, connector), service);
    await rig.#fill(siirays);
    await siirays.close();
    await rig.deliver();
    return rig;
  }

  comparison(ids: readonly string[] | null = null): Comparison<DocumentCandidate> {
    const { connector, schemas, syncUrl, fastaaps } = this;
    const common = { connector, schemas, syncUrl, fastaaps, ids, rangeMs: 500 };
    const comparison =
      connector.target.adapter === 'restore'
        ? new SetComparison({ ...common, onWarning: (text) => this.warnings.push(text) })
        : new DocumentComparison({ ...common, sessions: 2 });
    after(() => comparison.close());
    return comparison;
  }

  /** Projects all marks, as of a new commit. */
  async project(): Promise<void> {
    this.#seq += 1;
    const commit = { history: 1, seq: String(this.#seq), lsn: String(1_000 * this.#seq), committedMs: Date.now() };
    await this.sync.query('BEGIN');
    await this.#replica.projection.run(this.sync, commit, false);
    await this.sync.query(
      `UPDATE epsa_sync.checkpoint SET token = 1, projected_history = 1, projected_seq = $1::bigint,
         projected_lsn = '0/0'::pg_lsn + 1000 * $1::bigint, projected_committed_at = now(), projected_at = now()`,
      [this.#seq],
    );
    await this.sync.query('COMMIT');
  }

  /** Projects all marks, and delivers until nothing is left to send. */
  async deliver(): Promise<void> {
    await this.project();
    const delivery = createDelivery({
      pool: this.#pool,
      schema: this.schemas.sync,
      connector: this.connector,
      client: this.fastaaps,
      token: '1',
      retry: { minMs: 10, maxMs: 50 },
      restoreIntervalMs: 10,
      log: pino({ level: 'silent' }),
      metrics: new Registry(),
      health: { live: () => undefined, ready: () => undefined },
      onMarked: () => undefined,
      onDeadLetters: () => undefined,
      onTokenLost: () => assert.fail('the token was lost'),
    });
    try {
      await until(
        async () => {
          const { rows } = await this.sync.query<{ done: boolean }>(
            `SELECT d.seq = $1 AND NOT EXISTS (SELECT FROM epsa_sync.outbox) AS done FROM epsa_sync.delivery AS d`,
            [this.#seq],
          );
          return rows[0]!.done;
        },
        'the delivery',
        60_000,
      );
    } finally {
      await delivery.stop();
    }
  }

  /** Waits until a session of the comparison waits for a lock. @returns when its transaction began */
  async untilWaiting(what: string): Promise<string> {
    const { rows } = await this.sync.query<{ name: string }>('SELECT current_database() AS name');
    const since = await until(async () => {
      const waiting = await this.fastaapsDatabase.query<{ since: string }>(
        `SELECT xact_start::text AS since FROM pg_stat_activity
          WHERE wait_event_type = 'Lock' AND application_name = 'siirays-sync reconciler' AND datname = $1`,
        [rows[0]!.name],
      );
      return waiting.rows[0]?.since;
    }, what);
    return since!;
  }

  async mark(...ids: string[]): Promise<void> {
    await this.sync.query('INSERT INTO epsa_sync.mark (id) SELECT unnest($1::text[])', [ids]);
  }

  async #fill(siirays: SiiraysDatabase): Promise<void> {
    const rows = await siirays.read();
    const writer = new BatchWriter(this.sync, this.#replica.live);
    for (const [place, { table, types, key }] of siirays.catalog.entries()) {
      const shape = shapeOf(table, types as Record<string, string>, key);
      if (!this.connector.tables.some((used) => used.table === table)) continue;
      await this.#replica.live.tables.ensure(this.sync, shape);
      const events = rows[table]!.map((row) =>
        eventOf(shape, { op: 'c', after: shape.columns.map(({ name }) => row[name] ?? null) }),
      );
      if (events.length > 0) writer.add(place, events);
    }
    await writer.flush();
    await writer.commit();
    for (const index of this.#replica.live.tables.indexes(this.connector)) await this.sync.query(index);
    await this.sync.query('ANALYZE');
  }
}

export interface Scanned {
  ranges: Range<DocumentCandidate>[];
  candidates: Map<string, DocumentCandidate>;
  proven: string[];
}

export async function scanAll(comparison: Comparison<DocumentCandidate>, from: unknown = null): Promise<Scanned> {
  const ranges: Range<DocumentCandidate>[] = [];
  for await (const range of comparison.scan(from, new AbortController().signal)) ranges.push(range);
  const candidates = ranges.flatMap((range) => range.candidates);
  return {
    ranges,
    candidates: new Map(candidates.map((one) => [one.key, one])),
    proven: ranges.flatMap((range) => range.proven),
  };
}
