/**
 * The configuration as each process gets it: plain frozen objects, read once at the start (config.ts).
 * No part of the program reads environment variables itself. Durations are milliseconds, sizes are bytes.
 */

/** The source, SIIRAyS. `url` is a direct session (replication needs it), `readUrl` may go through PgBouncer. */
export interface SiiraysConfig {
  /** postgres:// URL with the password in it: never to be logged. TLS by its sslmode, sslrootcert, sslcert, sslkey. */
  url: string;
  /** postgres:// URL for reading tables; equals `url` where nothing else was configured. */
  readUrl: string;
  slot: string;
  publication: string;
  /** wal_sender_timeout of our replication session: how soon the server lets go of a dead producer's slot. */
  walSenderTimeoutMs: number;
}

export interface KafkaSasl {
  mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
  username: string;
  password: string;
}

/** PEM texts (not paths). `true` is TLS with the system's authorities and no client certificate. */
export type KafkaSsl = { ca?: string; cert?: string; key?: string } | true;

export interface KafkaConfig {
  /** host:port */
  brokers: string[];
  clientId: string;
  ssl?: KafkaSsl;
  sasl?: KafkaSasl;
  /** `siirays` makes siirays.transaction, siirays.public.<table> ... */
  topicPrefix: string;
  replicationFactor: number;
  transactionTimeoutMs: number;
  /** Upper limit of one request's records of one partition; must not exceed the broker's message.max.bytes. */
  maxMessageBytes: number;
  /** retention.ms of the topics that are not compacted. */
  retentionMs: number;
}

export interface RegistryConfig {
  url: string;
  username?: string;
  password?: string;
  /** Path of a PEM file of authorities to trust. */
  caFile?: string;
}

/** FASTAAPS's access service: either user name and password (HTTP Basic) or a token (Bearer). */
export interface FastaapsConfig {
  url: string;
  username?: string;
  password?: string;
  token?: string;
  /** PEM text of authorities to trust. */
  ca?: string;
  timeoutMs: number;
}

/** The process's own HTTP server: health and metrics. Without `metricsPassword`, /metrics answers 403. */
export interface HttpConfig {
  host: string;
  port: number;
  metricsUsername?: string;
  metricsPassword?: string;
}

/** Exponential back-off between `minMs` and `maxMs`. */
export interface RetryConfig {
  minMs: number;
  maxMs: number;
}

export interface SnapshotConfig {
  chunkBytes: number;
  chunkRows: number;
  lockTimeoutMs: number;
}

export interface WriterConfig {
  /** Limit of what is being sent, and again of what is being filled meanwhile. */
  batchBytes: number;
}

export interface LeaseConfig {
  renewMs: number;
  timeoutMs: number;
}

/** What every process has. */
export interface ProcessConfig {
  http: HttpConfig;
  /** Who this process is. The same instance started again takes over at once. */
  instanceId: string;
  /** fatal, error, warn, info, debug, trace, silent */
  logLevel: string;
}

export interface ProducerConfig extends ProcessConfig {
  siirays: SiiraysConfig;
  kafka: KafkaConfig;
  registry: RegistryConfig;
  retry: RetryConfig;
  connectorsDir: string;
  snapshot: SnapshotConfig;
  writer: WriterConfig;
}

export interface ConsumerConfig extends ProcessConfig {
  /** postgres:// URL of the database `sync`. */
  syncUrl: string;
  /** Name of the connector that this consumer serves: connectors/<name>.yaml. */
  connector: string;
  connectorsDir: string;
  kafka: KafkaConfig;
  registry: RegistryConfig;
  fastaaps: FastaapsConfig;
  retry: RetryConfig;
  /** Limit of each topic's queue; one message always fits. */
  queueBytes: number;
  /** Under a backlog, documents are projected at most this often. */
  projectIntervalMs: number;
  lease: LeaseConfig;
  /** The adapter `restore` sends the whole set at most this often. */
  restoreIntervalMs: number;
}

/** What a reconciliation needs, whoever starts it. */
export interface ReconcileConfig extends ProcessConfig {
  siirays: Pick<SiiraysConfig, 'url' | 'readUrl'>;
  /** postgres:// URL of the database `sync`. */
  syncUrl: string;
  kafka: KafkaConfig;
  fastaaps: FastaapsConfig;
  connectorsDir: string;
  retry: RetryConfig;
  /** Longest wait for the lock of a table that is read. */
  lockTimeoutMs: number;
  /** Part of the time that SIIRAyS may be busy with us, above 0, up to 1. */
  siiraysShare: number;
  /** How long a second look waits for the slower side. */
  patienceMs: number;
  repairPatienceMs: number;
  keepMs: number;
  keepRuns: number;
}

/** What the commands on dead letters need. */
export interface DeadLettersConfig {
  /** postgres:// URL of the database `sync`. */
  syncUrl: string;
  connectorsDir: string;
}

export interface ApiUser {
  name: string;
  role: 'viewer' | 'operator';
  /** Plain, or scrypt:… */
  password: string;
}

/** The process that runs reconciliations by schedule and by HTTP. */
export interface ReconcilerConfig extends ReconcileConfig {
  schedule: {
    /** Cron expression; null: off. */
    cron: string | null;
    mode: 'verify' | 'repair';
    directCron: string | null;
    timezone: string;
  };
  api: { host: string; port: number; users: ApiUser[] };
}
