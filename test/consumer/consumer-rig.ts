/** A producer and consumers in this process, over real Kafka, registry and PostgreSQL; FASTAAPS is left out. */
import assert from 'node:assert/strict';
import type pg from 'pg';
import { Registry } from 'prom-client';
import { loadSample } from '../../embedded/siirays/sample.ts';
import type { ConsumerConfig } from '../../src/config/types.ts';
import type { CompiledConnector } from '../../src/connector/compiled.ts';
import { loadConnectors } from '../../src/connector/load.ts';
import { createConsumerMetrics } from '../../src/consumer/consumer-metrics.ts';
import { runPipeline } from '../../src/consumer/pipeline.ts';
import { createHealth } from '../../src/observability/health.ts';
import { connect, disconnect } from '../../src/postgres/session.ts';
import { SiiraysDatabase } from '../connector/siirays-database.ts';
import { testBroker, testRegistry } from '../support/kafka.ts';
import { testDatabase } from '../support/postgres.ts';
import { producerConfig, silent, startProducer, type TestSource } from '../support/producer.ts';
import { until } from '../support/until.ts';

export interface RunningConsumer {
  /** How often documents were projected. */
  wakes: number;
  /** Messages that it has not read yet, by its gauge. */
  behind(): Promise<number>;
  /** Why its pipelines ended. */
  failures: unknown[];
  /** Its first pipeline's end, where it runs once. */
  done: Promise<void>;
  stop(): Promise<void>;
}

export interface Rig {
  siirays: SiiraysDatabase;
  sync: pg.Client;
  connector: CompiledConnector;
  source: TestSource;
  /** `again`: pipelines follow each other as in the process, else one runs. */
  consumer(instanceId: string, again?: boolean): RunningConsumer;
  /** Waits until the documents in the sync database are those of SIIRAyS now, then compares every replica row. */
  equal(what: string): Promise<void>;
  /** Runs SQL on SIIRAyS as one transaction. */
  change(sql: string): Promise<void>;
  stopConsumers(): Promise<void>;
  close(): Promise<void>;
}

export async function createRig(epsas: number): Promise<Rig> {
  const [siiraysDatabase, syncDatabase] = [await testDatabase(), await testDatabase()];
  const [broker, registry] = [await testBroker(), await testRegistry()];
  const siirays = await SiiraysDatabase.create(siiraysDatabase.url);
  const connector = loadConnectors('connectors', siirays.catalog).find(({ name }) => name === 'epsa')!;
  await siirays.createIndexes(connector);
  await loadSample(siirays.client, { epsas });
  const source: TestSource = {
    url: siiraysDatabase.url,
    slot: `slot_${siiraysDatabase.name}`,
    publication: 'siirays_sync',
    broker: broker.address,
    topicPrefix: broker.topicPrefix,
    registryUrl: registry.url,
  };
  await siirays.client.query('CREATE PUBLICATION siirays_sync FOR ALL TABLES');
  await siirays.client.query(`SELECT pg_create_logical_replication_slot('${source.slot}', 'pgoutput')`);
  const producer = startProducer(
    producerConfig(source, { snapshot: { chunkBytes: 1e6, chunkRows: 1_000, lockTimeoutMs: 1_000 } }),
  );
  await producer.ready;
  const sync = await connect({ connectionString: syncDatabase.url });
  const consumers: RunningConsumer[] = [];

  const configOf = (instanceId: string): ConsumerConfig => ({
    syncUrl: syncDatabase.url,
    connector: 'epsa',
    connectorsDir: 'connectors',
    kafka: producerConfig(source).kafka,
    registry: { url: registry.url },
    fastaaps: { url: 'http://127.0.0.1:1', timeoutMs: 1 },
    http: { host: '127.0.0.1', port: 0 },
    retry: { minMs: 20, maxMs: 200 },
    queueBytes: 200_000,
    projectIntervalMs: 200,
    lease: { renewMs: 200, timeoutMs: 2_000 },
    restoreIntervalMs: 1_000,
    instanceId,
    logLevel: 'silent',
  });

  return {
    siirays,
    sync,
    connector,
    source,
    consumer(instanceId, again = false) {
      const ending = new AbortController();
      const running: RunningConsumer = {
        behind: async () => Number.NaN,
        wakes: 0,
        failures: [],
        done: Promise.resolve(),
        stop: async () => undefined,
      };
      let metrics = new Registry();
      running.behind = async () => {
        const gauge = await metrics.getSingleMetric('siirays_sync_consumer_behind_messages')?.get();
        return gauge?.values[0]?.value ?? Number.NaN;
      };
      const live = () => {
        metrics = new Registry();
        return runPipeline({
          config: configOf(instanceId),
          connector,
          context: { log: silent, health: createHealth(), metrics, signal: ending.signal },
          metrics: createConsumerMetrics(metrics),
          createDelivery: () => ({
            wake: () => {
              running.wakes += 1;
            },
            stop: async () => undefined,
          }),
        });
      };
      const lives = async () => {
        do {
          await live().catch((error: unknown) => {
            if (!ending.signal.aborted) running.failures.push(error);
          });
        } while (again && !ending.signal.aborted);
      };
      running.done = lives();
      running.stop = async () => {
        ending.abort();
        await running.done;
      };
      consumers.push(running);
      return running;
    },
    async equal(what) {
      const expected = new Map(
        (await siirays.project(connector, await siirays.allRoots(connector))).map(({ id, body }) => [id, body]),
      );
      let have = new Map<string, string>();
      const same = async () => {
        have = await documents(sync);
        return have.size === expected.size && [...expected].every(([id, body]) => have.get(id) === body);
      };
      await until(same, what, 60_000).catch((error: unknown) => {
        throw new AggregateError([error, ...consumers.flatMap(({ failures }) => failures)], `${error}`);
      });
      assert.deepEqual(await counts(sync, 'epsa', connector), await counts(siirays.client, 'public', connector));
    },
    async change(sql) {
      await siirays.client.query(`BEGIN; ${sql}; COMMIT`);
    },
    async stopConsumers() {
      for (const consumer of consumers.splice(0)) await consumer.stop();
    },
    async close() {
      for (const consumer of consumers.splice(0)) await consumer.stop();
      await producer.stop();
      await disconnect(sync);
      await siirays.close();
    },
  };
}

/** The newest projected bodies. */
async function documents(sync: pg.Client): Promise<Map<string, string>> {
  const { rows: there } = await sync.query(`SELECT to_regclass('epsa_sync.document') IS NOT NULL AS there`);
  if (!there[0].there) return new Map();
  const { rows } = await sync.query<{ id: string; body: string }>(
    `SELECT d.id, v.body FROM epsa_sync.document d JOIN epsa_sync.document_version v USING (id, epoch, version)
     WHERE v.body IS NOT NULL`,
  );
  return new Map(rows.map(({ id, body }) => [id, body]));
}

/** Per table the number of rows and an order-free hash of their text. */
async function counts(
  client: pg.Client,
  schema: string,
  connector: CompiledConnector,
): Promise<Record<string, unknown>> {
  const result: Record<string, unknown> = {};
  for (const { table, columns } of connector.tables) {
    const list = columns.map((column) => `"${column}"::text`).join(', ');
    const { rows } = await client.query(
      `SELECT count(*)::text AS n, sum(hashtext((ROW(${list}))::text)::bigint)::text AS h FROM ${await source(client, schema, table)}`,
    );
    result[table] = rows[0];
  }
  return result;
}

/** Rows as often as they count. */
async function source(client: pg.Client, schema: string, table: string): Promise<string> {
  const { rows } = await client.query(
    `SELECT 1 FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2 AND column_name = '_count'`,
    [schema, table],
  );
  return rows.length > 0 ? `"${schema}"."${table}", generate_series(1, _count)` : `"${schema}"."${table}"`;
}
