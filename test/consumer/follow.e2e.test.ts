/** The consumer behind a real producer, Kafka, registry and PostgreSQL; only FASTAAPS is left out. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type pg from 'pg';
import { Registry } from 'prom-client';
import { loadSample } from '../../embedded/siirays/sample.ts';
import type { ConsumerConfig } from '../../src/config/types.ts';
import { loadConnectors } from '../../src/connector/load.ts';
import { createConsumerMetrics } from '../../src/consumer/consumer-metrics.ts';
import { runPipeline } from '../../src/consumer/pipeline.ts';
import { createHealth } from '../../src/observability/health.ts';
import { connect, disconnect } from '../../src/postgres/session.ts';
import { SiiraysDatabase } from '../connector/siirays-database.ts';
import { testBroker, testRegistry } from '../support/kafka.ts';
import { testDatabase } from '../support/postgres.ts';
import { producerConfig, silent, startProducer } from '../support/producer.ts';
import { until } from '../support/until.ts';

const siiraysDatabase = await testDatabase();
const syncDatabase = await testDatabase();
const broker = await testBroker();
const registry = await testRegistry();
const siirays = await SiiraysDatabase.create(siiraysDatabase.url);
const epsa = loadConnectors('connectors', siirays.catalog).find(({ name }) => name === 'epsa')!;
await siirays.createIndexes(epsa);

interface RunningConsumer {
  wakes: number;
  stop(): Promise<void>;
  done: Promise<void>;
}

function startConsumer(change: Partial<ConsumerConfig> = {}): RunningConsumer {
  const config: ConsumerConfig = {
    syncUrl: syncDatabase.url,
    connector: 'epsa',
    connectorsDir: 'connectors',
    kafka: producerConfig({ ...source }).kafka,
    registry: { url: registry.url },
    fastaaps: { url: 'http://127.0.0.1:1', timeoutMs: 1 },
    http: { host: '127.0.0.1', port: 0 },
    retry: { minMs: 20, maxMs: 200 },
    queueBytes: 1_000_000,
    projectIntervalMs: 200,
    lease: { renewMs: 100, timeoutMs: 1_000 },
    restoreIntervalMs: 1_000,
    instanceId: 'one',
    logLevel: 'silent',
    ...change,
  };
  const ending = new AbortController();
  const metrics = new Registry();
  const running: RunningConsumer = {
    wakes: 0,
    done: runPipeline({
      config,
      connector: epsa,
      context: { log: silent, health: createHealth(), metrics, signal: ending.signal },
      metrics: createConsumerMetrics(metrics),
      createDelivery: () => ({
        wake: () => {
          running.wakes += 1;
        },
        stop: async () => undefined,
      }),
    }),
    async stop() {
      ending.abort();
      await running.done.catch(() => undefined);
    },
  };
  running.done.catch(() => undefined);
  return running;
}

const source = {
  url: siiraysDatabase.url,
  slot: `slot_${siiraysDatabase.name}`,
  publication: 'siirays_sync',
  broker: broker.address,
  topicPrefix: broker.topicPrefix,
  registryUrl: registry.url,
};

/** The newest projected bodies, without what was never sent. */
async function documents(sync: pg.Client): Promise<Map<string, string | null>> {
  const { rows } = await sync.query<{ id: string; body: string | null }>(
    `SELECT d.id, v.body FROM epsa_sync.document d JOIN epsa_sync.document_version v USING (id, epoch, version)`,
  );
  return new Map(rows.map(({ id, body }) => [id, body]));
}

describe('the consumer behind a producer', { timeout: 180_000 }, () => {
  test('follows from the first load on, and equals SIIRAyS', async () => {
    const sync = await connect({ connectionString: syncDatabase.url });
    await loadSample(siirays.client, { epsas: 300 });
    await siirays.client.query('CREATE PUBLICATION siirays_sync FOR ALL TABLES');
    await siirays.client.query(`SELECT pg_create_logical_replication_slot('${source.slot}', 'pgoutput')`);
    const producer = startProducer(producerConfig(source));
    await producer.ready;
    const consumer = startConsumer();
    const equal = async (what: string) => {
      const expected = new Map(
        (await siirays.project(epsa, await siirays.allRoots(epsa))).map(({ id, body }) => [id, body]),
      );
      await until(
        async () => {
          await Promise.race([consumer.done, Promise.resolve()]);
          const have = new Map([...(await documents(sync))].filter(([, body]) => body !== null));
          return have.size === expected.size && [...expected].every(([id, body]) => have.get(id) === body);
        },
        what,
        60_000,
      );
    };
    try {
      await until(
        async () => {
          await Promise.race([consumer.done, Promise.resolve()]);
          return consumer.wakes > 0;
        },
        'the consumer to start',
        30_000,
      );
      await equal('the first load');
      await siirays.client.query(`UPDATE epsa SET nombre_epsa = nombre_epsa || ' (nueva)' WHERE id_epsa % 3 = 0`);
      await equal('an update');
      await siirays.client.query(
        `BEGIN; DELETE FROM epsa WHERE id_epsa % 5 = 0; UPDATE localidad SET localidad = 'x'; COMMIT`,
      );
      await equal('deletes and a catalogue');
      assert.ok(consumer.wakes > 0);
    } finally {
      await consumer.stop();
      await producer.stop();
      await disconnect(sync);
    }
  });
});
