/**
 * Environment variables become one frozen object per process, or one error that names every mistake.
 * The variables are declared in variables.ts.
 */
import { hostname } from 'node:os';
import { ConfigurationError, type ConfigurationProblem } from './configuration-error.ts';
import { type Environment, readVariables } from './read-variables.ts';
import {
  checkFastaaps,
  checkKafka,
  checkLease,
  checkRegistry,
  checkRetry,
  type PartialValues,
} from './related-variables.ts';
import type {
  ApiUser,
  ConsumerConfig,
  DeadLettersConfig,
  FastaapsConfig,
  KafkaConfig,
  KafkaSsl,
  ProcessConfig,
  ProducerConfig,
  ReconcileConfig,
  ReconcilerConfig,
  RegistryConfig,
} from './types.ts';
import { unknownVariables } from './unknown-variables.ts';
import type { Values, Variables } from './variable.ts';
import {
  CONNECTORS,
  CONSUMER,
  FASTAAPS,
  KAFKA,
  PROCESS,
  PRODUCER,
  RECONCILE,
  RECONCILER,
  REGISTRY,
  SIIRAYS,
  SYNC,
} from './variables.ts';

const PRODUCER_PORT = 8081;
const CONSUMER_PORT = 8082;
const RECONCILER_PORT = 8083;

/** The producer's configuration. Throws a ConfigurationError with every mistake. */
export function loadProducerConfig(env: Environment): ProducerConfig {
  const values = read({ ...SIIRAYS, ...KAFKA, ...REGISTRY, ...CONNECTORS, ...PRODUCER, ...PROCESS }, env);
  return deepFreeze({
    siirays: {
      url: values.SIIRAYS_URL,
      readUrl: values.SIIRAYS_READ_URL ?? values.SIIRAYS_URL,
      slot: values.SIIRAYS_SLOT,
      publication: values.SIIRAYS_PUBLICATION,
      walSenderTimeoutMs: values.SIIRAYS_WAL_SENDER_TIMEOUT,
    },
    kafka: kafkaConfig(values),
    registry: registryConfig(values),
    retry: { minMs: values.RETRY_MIN, maxMs: values.RETRY_MAX },
    connectorsDir: values.CONNECTORS_DIR,
    snapshot: {
      chunkBytes: values.SNAPSHOT_CHUNK_BYTES,
      chunkRows: values.SNAPSHOT_CHUNK_ROWS,
      lockTimeoutMs: values.SNAPSHOT_LOCK_TIMEOUT,
    },
    writer: { batchBytes: values.WRITER_BATCH_BYTES },
    ...processConfig(values, PRODUCER_PORT),
  });
}

/** A consumer's configuration. Throws a ConfigurationError with every mistake. */
export function loadConsumerConfig(env: Environment): ConsumerConfig {
  const values = read({ ...SYNC, ...KAFKA, ...REGISTRY, ...FASTAAPS, ...CONNECTORS, ...CONSUMER, ...PROCESS }, env);
  return deepFreeze({
    syncUrl: values.SYNC_URL,
    connector: values.CONNECTOR,
    connectorsDir: values.CONNECTORS_DIR,
    kafka: kafkaConfig(values),
    registry: registryConfig(values),
    fastaaps: fastaapsConfig(values),
    retry: { minMs: values.RETRY_MIN, maxMs: values.RETRY_MAX },
    queueBytes: values.CONSUMER_QUEUE_BYTES,
    projectIntervalMs: values.PROJECT_INTERVAL,
    lease: { renewMs: values.LEASE_RENEW, timeoutMs: values.LEASE_TIMEOUT },
    restoreIntervalMs: values.RESTORE_INTERVAL,
    ...processConfig(values, CONSUMER_PORT),
  });
}

const { SIIRAYS_URL, SIIRAYS_READ_URL } = SIIRAYS;
const { SNAPSHOT_LOCK_TIMEOUT } = PRODUCER;
/** What a reconciliation reads, whoever starts it. */
const FOR_RECONCILE = {
  ...{ SIIRAYS_URL, SIIRAYS_READ_URL, SNAPSHOT_LOCK_TIMEOUT },
  ...{ ...SYNC, ...KAFKA, ...FASTAAPS, ...CONNECTORS, ...RECONCILE, ...PROCESS },
};

/** The configuration of one reconciliation. Throws a ConfigurationError with every mistake. */
export function loadReconcileConfig(env: Environment): ReconcileConfig {
  return deepFreeze(reconcileConfig(read(FOR_RECONCILE, env)));
}

/** The reconciler's configuration. Throws a ConfigurationError with every mistake. */
export function loadReconcilerConfig(env: Environment): ReconcilerConfig {
  const values = read({ ...FOR_RECONCILE, ...RECONCILER }, env);
  const users: ApiUser[] = [
    { name: values.API_OPERATOR_USERNAME, role: 'operator', password: values.API_OPERATOR_PASSWORD },
  ];
  if (values.API_VIEWER_PASSWORD !== undefined) {
    users.push({ name: values.API_VIEWER_USERNAME, role: 'viewer', password: values.API_VIEWER_PASSWORD });
  }
  return deepFreeze({
    ...reconcileConfig(values),
    schedule: {
      cron: values.RECONCILE_SCHEDULE,
      mode: values.RECONCILE_SCHEDULE_MODE,
      directCron: values.RECONCILE_DIRECT_SCHEDULE,
      timezone: values.RECONCILE_TIMEZONE,
    },
    api: { host: values.API_HOST, port: values.API_PORT, users },
  });
}

function reconcileConfig(values: Values<typeof FOR_RECONCILE>): ReconcileConfig {
  return {
    siirays: { url: values.SIIRAYS_URL, readUrl: values.SIIRAYS_READ_URL ?? values.SIIRAYS_URL },
    syncUrl: values.SYNC_URL,
    kafka: kafkaConfig(values),
    fastaaps: fastaapsConfig(values),
    connectorsDir: values.CONNECTORS_DIR,
    retry: { minMs: values.RETRY_MIN, maxMs: values.RETRY_MAX },
    lockTimeoutMs: values.SNAPSHOT_LOCK_TIMEOUT,
    siiraysShare: values.RECONCILE_SIIRAYS_SHARE / 100,
    patienceMs: values.RECONCILE_PATIENCE,
    repairPatienceMs: values.RECONCILE_REPAIR_PATIENCE,
    keepMs: values.RECONCILE_KEEP,
    keepRuns: values.RECONCILE_KEEP_RUNS,
    ...processConfig(values, RECONCILER_PORT),
  };
}

/** The folder of the connectors, for the commands that need nothing else. Throws a ConfigurationError. */
export function loadConnectorsDir(env: Environment): string {
  return read(CONNECTORS, env).CONNECTORS_DIR;
}

/** What the commands on dead letters need. Throws a ConfigurationError with every mistake. */
export function loadDeadLettersConfig(env: Environment): DeadLettersConfig {
  const values = read({ ...SYNC, ...CONNECTORS }, env);
  return deepFreeze({ syncUrl: values.SYNC_URL, connectorsDir: values.CONNECTORS_DIR });
}

/** What is not wrong enough to stop for: misspelt names. To be logged at the start. */
export function configurationWarnings(env: Environment): string[] {
  return unknownVariables(env);
}

/** Reads the variables and the rules between them; throws unless all is right. */
function read<V extends Variables>(variables: V, env: Environment): Values<V> {
  const problems: ConfigurationProblem[] = [];
  const values = readVariables(variables, env, problems);
  const related: PartialValues = values;
  for (const check of [checkKafka, checkRegistry, checkFastaaps, checkLease, checkRetry]) check(related, problems);
  if (problems.length > 0) throw new ConfigurationError(problems, unknownVariables(env));
  return values as Values<V>;
}

function kafkaConfig(values: Values<typeof KAFKA>): KafkaConfig {
  const { KAFKA_SASL_MECHANISM: mechanism, KAFKA_SASL_USERNAME: username, KAFKA_SASL_PASSWORD: password } = values;
  return {
    brokers: values.KAFKA_BROKERS,
    clientId: values.KAFKA_CLIENT_ID,
    ssl: kafkaSsl(values),
    sasl: mechanism && username && password ? { mechanism, username, password } : undefined,
    topicPrefix: values.KAFKA_TOPIC_PREFIX,
    replicationFactor: values.KAFKA_REPLICATION_FACTOR,
    transactionTimeoutMs: values.KAFKA_TRANSACTION_TIMEOUT,
    maxMessageBytes: values.KAFKA_MAX_MESSAGE_BYTES,
    retentionMs: values.KAFKA_RETENTION,
  };
}

function kafkaSsl(values: Values<typeof KAFKA>): KafkaSsl | undefined {
  const { KAFKA_SSL_CA_FILE: ca, KAFKA_SSL_CERT_FILE: cert, KAFKA_SSL_KEY_FILE: key } = values;
  if (ca || cert) return { ca, cert, key };
  return values.KAFKA_SSL ? true : undefined;
}

function registryConfig(values: Values<typeof REGISTRY>): RegistryConfig {
  return {
    url: values.REGISTRY_URL,
    username: values.REGISTRY_USERNAME,
    password: values.REGISTRY_PASSWORD,
    caFile: values.REGISTRY_CA_FILE,
  };
}

function fastaapsConfig(values: Values<typeof FASTAAPS>): FastaapsConfig {
  return {
    url: values.FASTAAPS_URL,
    username: values.FASTAAPS_USERNAME,
    password: values.FASTAAPS_PASSWORD,
    token: values.FASTAAPS_TOKEN,
    ca: values.FASTAAPS_CA_FILE,
    timeoutMs: values.FASTAAPS_TIMEOUT,
  };
}

function processConfig(values: Values<typeof PROCESS>, defaultPort: number): ProcessConfig {
  return {
    http: {
      host: values.HTTP_HOST,
      port: values.HTTP_PORT ?? defaultPort,
      metricsUsername: values.METRICS_USERNAME,
      metricsPassword: values.METRICS_PASSWORD,
    },
    instanceId: values.INSTANCE_ID ?? `${hostname().slice(0, 30)}-${process.pid}`,
    logLevel: values.LOG_LEVEL,
  };
}

function deepFreeze<T extends object>(object: T): T {
  for (const value of Object.values(object)) if (typeof value === 'object' && value !== null) deepFreeze(value);
  return Object.freeze(object);
}
