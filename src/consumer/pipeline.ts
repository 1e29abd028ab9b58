import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Kafka } from 'kafkajs';
import type pg from 'pg';
import type { ConsumerConfig } from '../config/types.ts';
import type { CompiledConnector } from '../connector/compiled.ts';
import { ensureTopics } from '../kafka/admin.ts';
import { createKafka } from '../kafka/client.ts';
import { createRegistry } from '../kafka/registry.ts';
import { topicsFor } from '../kafka/topics.ts';
import type { ProcessContext } from '../observability/process-context.ts';
import { quoteIdentifier } from '../postgres/identifier.ts';
import { migrate } from '../postgres/migrate.ts';
import { connect, disconnect } from '../postgres/session.ts';
import { BrokenHistory } from './broken-history.ts';
import { type Checkpoint, CheckpointStore } from './checkpoint.ts';
import { unfitness } from './connector-fit.ts';
import type { ConsumerMetrics } from './consumer-metrics.ts';
import { DeadLetters } from './dead-letters.ts';
import { follow } from './follow.ts';
import { SqlLeaseTable } from './lease-table.ts';
import { restoreLostRows } from './lost-rows.ts';
import { PAUSED, Paused, PauseSwitch } from './pause.ts';
import { loadReplica, type Replica } from './replica.ts';
import { type ConnectorSchemas, collectionName, connectorSchemas } from './replica-names.ts';
import { connectSession, createSessionPool, endOlderSessions, type SessionOptions } from './sessions.ts';
import { missingTables, requestSnapshot } from './snapshot.ts';
import { SnapshotSignals } from './snapshot-signals.ts';
import { acquireToken, keepToken } from './token.ts';
import { deleteOlderGroups, readTopicRanges, unreachable } from './topic-offsets.ts';

/** Sends documents to FASTAAPS; works beside the pipeline, on connections of the pool. */
export interface Delivery {
  /** The documents correspond to a newer commit. */
  wake(): void;
  stop(): Promise<void>;
}

export interface DeliveryOptions {
  connector: CompiledConnector;
  schemas: ConnectorSchemas;
  /** Sessions of our token. */
  pool: pg.Pool;
  token: string;
  /** Marks were set that the next projection should take. */
  onMarked(): void;
  /** Dead letters were written. */
  onDeadLetters(): void;
  /** Delivery cannot go on under this token. */
  onLost(error: unknown): void;
}

export interface PipelineOptions {
  config: ConsumerConfig;
  connector: CompiledConnector;
  context: ProcessContext;
  metrics: ConsumerMetrics;
  createDelivery(options: DeliveryOptions): Delivery;
}

const MIGRATIONS = join(import.meta.dirname, 'migrations');

/**
 * One life of the consumer: waits for the token, reads where the replica stands, follows the topics from there. Ends when
 * the signal aborts; any error ends it too, and only a new one with new connections is safe then.
 */
export async function runPipeline(options: PipelineOptions): Promise<void> {
  const { config, connector, context } = options;
  const { log, health, signal } = context;
  const schemas = connectorSchemas(connector.name);
  const ending = new AbortController();
  const stop = AbortSignal.any([signal, ending.signal]);
  const fail = (error: unknown) => ending.abort(error);
  await using stack = new AsyncDisposableStack();
  const atEnd = (what: string, end: () => Promise<unknown>) => stack.defer(() => quietly(context, what, end));

  const lease = await connect({ connectionString: config.syncUrl, application_name: 'siirays-sync:lease' });
  atEnd('lease session', () => disconnect(lease));
  await migrate(lease, MIGRATIONS, schemas.sync);
  if (await restoreLostRows(lease, schemas.sync)) {
    log.error({ event: 'checkpoint_lost' }, 'the checkpoint was lost: a full snapshot will be asked for');
  }
  const leaseTable = new SqlLeaseTable(lease, schemas.sync, config.lease.timeoutMs);
  const token = await acquireToken(leaseTable, {
    instanceId: config.instanceId,
    lease: config.lease,
    log,
    signal,
    onStandby: (holder) => {
      health.live();
      health.ready('consumer', false, `standing by: ${holder} works`);
    },
  });
  options.metrics.active.set(1);
  stack.defer(() => options.metrics.active.set(0));
  const pause = new PauseSwitch(() => fail(new Paused()));
  const keeper = keepToken(leaseTable, token, config.lease, fail, (paused) => pause.set(paused));
  atEnd('lease', async () => {
    await keeper.stop();
    await leaseTable.release(token);
  });

  if (await pause.isOn(stop)) {
    health.ready('consumer', false, PAUSED);
    log.info({ event: 'consumer_paused' }, PAUSED);
    await pause.off(stop);
  }

  const sessions: SessionOptions = {
    syncUrl: config.syncUrl,
    connector: connector.name,
    token,
    idleInTransactionMs: Math.max(200, config.lease.timeoutMs - 2 * config.lease.renewMs),
  };
  const client = await connectSession(sessions);
  atEnd('session', () => disconnect(client));
  const ended = await endOlderSessions(client, connector.name, token);
  if (ended > 0) log.warn({ event: 'older_sessions_ended', sessions: ended }, 'sessions of an older token were ended');

  const topics = topicsFor(config.kafka.topicPrefix);
  const tableTopics = connector.tables.map(({ schema, table }) => topics.table(schema, table));
  const kafka = createKafka(config.kafka, log);
  await ensureTopics(kafka, config.kafka, topics, tableTopics);
  const read = [topics.transaction, ...tableTopics];

  await client.query(`CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(schemas.live)}`);
  const replica = await loadReplica(client, connector, schemas);
  const store = new CheckpointStore(schemas.sync, token);
  const freeze = (reason: string, staging: boolean) =>
    freezeReplica(client, store, kafka, read, reason, staging, options);
  const checkpoint = await startingPoint(
    client,
    store,
    connector,
    replica,
    async (known) => {
      const ranges = await readTopicRanges(kafka, read);
      return unreachable(known, ranges);
    },
    freeze,
  );
  await projectAnew(client, store, connector, replica, checkpoint);

  const registry = createRegistry(config.registry);
  atEnd('registry', () => registry.close());
  const signals = new SnapshotSignals(kafka, topics.signal, connector.name);
  await signals.connect();
  atEnd('signals', () => signals.disconnect());
  const deadLetters = new DeadLetters({
    client,
    syncSchema: schemas.sync,
    connector: connector.name,
    kafka,
    topic: topics.deadLetters,
  });
  await deadLetters.connect();
  atEnd('dead letters', () => deadLetters.disconnect());
  const pool = createSessionPool(sessions, 4);
  atEnd('pool', () => pool.end());
  deleteOlderGroups(kafka, config.kafka.topicPrefix, connector.name, token).catch((err: unknown) =>
    log.warn({ event: 'old_groups_kept', err }, 'Kafka groups of older tokens could not be deleted'),
  );
  try {
    await follow({
      ...options,
      schemas,
      client,
      pool,
      token,
      kafka,
      topics,
      registry,
      replica,
      store,
      checkpoint,
      signals,
      deadLetters,
      stop,
      fail,
    });
  } catch (error) {
    if (error instanceof BrokenHistory) {
      await client.query('ROLLBACK');
      await freeze(error.message, (await store.read(client)).staging !== null);
    }
    throw error;
  }
}

/** Notes that a full snapshot is wanted, from the topics' ends on. */
async function freezeReplica(
  client: pg.ClientBase,
  store: CheckpointStore,
  kafka: Kafka,
  topics: readonly string[],
  reason: string,
  staging: boolean,
  { connector, context: { log }, metrics }: PipelineOptions,
): Promise<void> {
  const ranges = await readTopicRanges(kafka, topics);
  const offsets = new Map([...ranges].map(([topic, { high }]) => [topic, high]));
  const id = randomUUID();
  await requestSnapshot(client, store, { id, offsets, reason, tables: connector.tables.map(collectionName) }, staging);
  metrics.frozen.inc();
  log.warn(
    { event: 'replica_frozen', request: id, reason },
    `the replica stands still until a full snapshot: ${reason}`,
  );
}

/** Where to go on; asks for a full snapshot where going on is impossible. */
async function startingPoint(
  client: pg.ClientBase,
  store: CheckpointStore,
  connector: CompiledConnector,
  replica: Replica,
  obstacle: (offsets: ReadonlyMap<string, bigint>) => Promise<string | null>,
  freeze: (reason: string, staging: boolean) => Promise<void>,
): Promise<Checkpoint> {
  const checkpoint = await store.read(client);
  const { request, position, staging, offsets } = checkpoint;
  const reason =
    (await obstacle(request?.offsets ?? offsets)) ??
    (request === null && position === null ? 'there is no replica yet' : null) ??
    newTables(connector, replica, checkpoint);
  if (reason === null) return checkpoint;
  await freeze(reason, staging !== null);
  return store.read(client);
}

/** A connector that reads more than before needs that from the beginning. */
function newTables(connector: CompiledConnector, { live }: Replica, { request, staging }: Checkpoint): string | null {
  const wanted = connector.tables.map(collectionName);
  const coming = request?.tables ?? staging?.tables;
  const lacking = coming
    ? wanted.filter((name) => !coming.includes(name))
    : [...missingTables(connector, live.tables), ...unfitness(connector, live.tables)];
  // A table that it reads no longer may be one that does not come.
  const awaited = request?.tables ?? (staging?.ended === false ? staging.tables : []);
  const needless = awaited.filter((name) => !wanted.includes(name));
  if (lacking.length > 0) return `the connector reads what the replica lacks: ${lacking.join(', ')}`;
  return needless.length > 0 ? `the connector no longer reads ${needless.join(', ')}` : null;
}

/** Marks every document where the connector's projection is another than the one that made them. */
async function projectAnew(
  client: pg.ClientBase,
  store: CheckpointStore,
  connector: CompiledConnector,
  { live, projection }: Replica,
  checkpoint: Checkpoint,
): Promise<void> {
  if (unfitness(connector, live.tables).length > 0 || checkpoint.projectionHash === projection.hash) return;
  await client.query('BEGIN');
  for (const sql of live.tables.indexes(connector)) await client.query(sql);
  await projection.markAll(client);
  await store.update(client, 'projection_hash = $2', [projection.hash]);
  await client.query('COMMIT');
}

async function quietly({ log }: ProcessContext, what: string, end: () => Promise<unknown>): Promise<void> {
  try {
    await end();
  } catch (err) {
    log.warn({ event: 'cleanup_failed', what, err }, `${what} did not end in order`);
  }
}
