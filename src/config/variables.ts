/**
 * Every environment variable of the program, in the order and in the groups of .env.example.
 * After a change: `node src/config/env-example.ts > .env.example`.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { duration, size, wholeNumber } from './units.ts';
import {
  boolean,
  brokers,
  cron,
  httpUrl,
  matching,
  oneOf,
  pemFile,
  postgresUrl,
  readableFile,
  text,
  timeZone,
} from './value-types.ts';
import { optional, required, type Variables, withDefault } from './variable.ts';

/** PostgreSQL's own rule for slots (manual, 26.2.6.1 "Querying and Manipulating Replication Slots"). */
const slotName = matching(/^[a-z0-9_]{1,63}$/, 'lower-case letters, digits and underscores, 63 at most');

const identifier = matching(/^.{1,63}$/u, 'a name of 63 characters at most');

const certificate = pemFile('CERTIFICATE', (pem) => new X509Certificate(pem));

export const SIIRAYS = {
  SIIRAYS_URL: required(postgresUrl, {
    secret: true,
    meaning:
      'SIIRAyS, connected to directly: the replication session runs here. The user needs REPLICATION and SELECT. ' +
      'TLS by the URL: ?sslmode=verify-full&sslrootcert=/path/ca.pem.',
    example: 'postgres://sync:PASSWORD@siirays.example:5432/siirays2019',
  }),
  SIIRAYS_READ_URL: optional(postgresUrl, {
    secret: true,
    meaning: 'SIIRAyS for reading tables, through PgBouncer where there is one (pool_mode=transaction will do).',
    example: 'postgres://sync:PASSWORD@pgbouncer.example:6432/siirays2019',
  }),
  SIIRAYS_SLOT: withDefault(slotName, 'siirays_sync', 'Name of the logical replication slot. One per installation.'),
  SIIRAYS_PUBLICATION: withDefault(identifier, 'siirays_sync', 'Name of the publication in SIIRAyS.'),
  SIIRAYS_WAL_SENDER_TIMEOUT: withDefault(
    duration('1s', '10m'),
    '5s',
    'wal_sender_timeout of the replication session: after so long without an answer the server lets a dead ' +
      "producer's slot go.",
  ),
};

export const KAFKA = {
  KAFKA_BROKERS: required(brokers, {
    meaning: 'Brokers to start from, host:port, several with commas.',
    example: 'kafka1.example:9092,kafka2.example:9092',
  }),
  KAFKA_CLIENT_ID: withDefault(text, 'siirays-sync', "Name shown in the broker's logs and quotas."),
  KAFKA_SSL: optional(boolean, {
    meaning: 'TLS. Not set: on where one of the files below is named, else off.',
    example: 'true',
  }),
  KAFKA_SSL_CA_FILE: optional(certificate, {
    meaning: "PEM file of the authorities to trust. Not set: the system's.",
    example: '/etc/siirays-sync/kafka-ca.pem',
  }),
  KAFKA_SSL_CERT_FILE: optional(certificate, {
    meaning: 'PEM file of the client certificate (mutual TLS). Together with KAFKA_SSL_KEY_FILE.',
    example: '/etc/siirays-sync/kafka-client.pem',
  }),
  KAFKA_SSL_KEY_FILE: optional(
    pemFile('PRIVATE KEY', (pem) => createPrivateKey(pem)),
    {
      meaning: 'PEM file of the private key of that certificate, not encrypted.',
      example: '/etc/siirays-sync/kafka-client.key',
    },
  ),
  KAFKA_SASL_MECHANISM: optional(oneOf(['plain', 'scram-sha-256', 'scram-sha-512']), {
    meaning: 'SASL: plain, scram-sha-256 or scram-sha-512. Not set: no SASL.',
    example: 'scram-sha-512',
  }),
  KAFKA_SASL_USERNAME: optional(text, { meaning: 'SASL user name.', example: 'siirays-sync' }),
  KAFKA_SASL_PASSWORD: optional(text, { secret: true, meaning: 'SASL password.', example: 'PASSWORD' }),
  KAFKA_TOPIC_PREFIX: withDefault(
    matching(/^[A-Za-z0-9_-]{1,60}$/, 'letters, digits, underscores and hyphens, 60 at most'),
    'siirays',
    'First part of every topic name and of the transactional ids. One per installation.',
  ),
  KAFKA_REPLICATION_FACTOR: withDefault(
    wholeNumber(1, 10),
    '1',
    'Replication factor of topics that are made. 3 on a cluster of three brokers or more.',
  ),
  KAFKA_TRANSACTION_TIMEOUT: withDefault(
    duration('10s', '15m'),
    '5m',
    "Longest time of one Kafka transaction, and so of one SIIRAyS transaction's transport. The broker's " +
      'transaction.max.timeout.ms (15m unless set) is the upper limit.',
  ),
  KAFKA_MAX_MESSAGE_BYTES: withDefault(
    size('64KiB', '256MiB'),
    '1MB',
    'Largest request part for one partition. Not more than message.max.bytes of the broker (1048588 unless set). ' +
      'A larger row stops the producer with an error that names this variable.',
  ),
  KAFKA_RETENTION: withDefault(
    duration('1h', '3650d'),
    '7d',
    'How long the topics keep messages: the longest time that a consumer may stand still without a new full snapshot.',
  ),
};

export const REGISTRY = {
  REGISTRY_URL: required(httpUrl, {
    meaning: "Schema registry with Confluent's API.",
    example: 'https://registry.example:8080/apis/ccompat/v7',
  }),
  REGISTRY_USERNAME: optional(text, { meaning: 'User name, where the registry asks for one.', example: 'sync' }),
  REGISTRY_PASSWORD: optional(text, { secret: true, meaning: 'Its password.', example: 'PASSWORD' }),
  REGISTRY_CA_FILE: optional(readableFile, {
    meaning: "PEM file of the authorities to trust. Not set: Node's own list.",
    example: '/etc/siirays-sync/registry-ca.pem',
  }),
};

export const FASTAAPS = {
  FASTAAPS_URL: required(httpUrl, {
    meaning: "FASTAAPS's access service, without the collection's path (the connector names that).",
    example: 'https://fastaaps.example',
  }),
  FASTAAPS_USERNAME: optional(text, { meaning: 'HTTP Basic user name. Either this or a token.', example: 'sync' }),
  FASTAAPS_PASSWORD: optional(text, { secret: true, meaning: 'HTTP Basic password.', example: 'PASSWORD' }),
  FASTAAPS_TOKEN: optional(text, { secret: true, meaning: 'Bearer token.', example: 'TOKEN' }),
  FASTAAPS_CA_FILE: optional(certificate, {
    meaning: "PEM file of the authorities to trust. Not set: Node's own list.",
    example: '/etc/siirays-sync/fastaaps-ca.pem',
  }),
  FASTAAPS_TIMEOUT: withDefault(
    duration('1s', '1h'),
    '60s',
    'Longest wait for the answer to a changeset and for each next part of it.',
  ),
};

export const SYNC = {
  SYNC_URL: required(postgresUrl, {
    secret: true,
    meaning:
      "The consumer's own database: replica, documents, outbox, checkpoint. Its owner's connection, directly " +
      '(session locks and settings do not survive a transaction pool).',
    example: 'postgres://sync:PASSWORD@sync.example:5432/sync',
  }),
};

export const CONNECTORS = {
  CONNECTORS_DIR: withDefault(text, 'connectors', 'Folder of the connectors, one YAML file per dataset.'),
};

export const PRODUCER = {
  SNAPSHOT_CHUNK_BYTES: withDefault(
    size('64KiB', '1GiB'),
    '4MiB',
    'A snapshot reads a table in chunks of about so many bytes ...',
  ),
  SNAPSHOT_CHUNK_ROWS: withDefault(wholeNumber(1, 10_000_000), '10000', '... and of so many rows at most.'),
  SNAPSHOT_LOCK_TIMEOUT: withDefault(
    duration('10ms', '10m'),
    '2s',
    'Longest wait for the lock (ACCESS SHARE) of a table that a chunk is read from; then it is tried again later.',
  ),
  WRITER_BATCH_BYTES: withDefault(
    size('64KiB', '1GiB'),
    '4MiB',
    'Limit of the messages being sent to Kafka, and again of those being gathered meanwhile.',
  ),
};

export const CONSUMER = {
  CONNECTOR: withDefault(
    matching(/^[a-z][a-z0-9_]{0,39}$/, 'a name of lower-case letters, digits and underscores, 40 at most'),
    'epsa',
    'The connector that this consumer serves: the file <CONNECTORS_DIR>/<CONNECTOR>.yaml.',
  ),
  CONSUMER_QUEUE_BYTES: withDefault(
    size('64KiB', '1GiB'),
    '8MiB',
    "Limit of the messages waiting per topic; a full queue pauses the topic's fetching.",
  ),
  PROJECT_INTERVAL: withDefault(
    duration('0ms', '1h'),
    '1s',
    'Under a backlog, documents are computed at most so often.',
  ),
  LEASE_RENEW: withDefault(duration('50ms', '1m'), '500ms', 'The active consumer shows that it lives so often.'),
  LEASE_TIMEOUT: withDefault(
    duration('500ms', '10m'),
    '3s',
    'A standby takes over after so long without a sign of life. At least twice LEASE_RENEW.',
  ),
  RESTORE_INTERVAL: withDefault(
    duration('1s', '1d'),
    '30s',
    'The adapter `restore` sends the whole set at most so often, and only when something changed.',
  ),
};

export const RECONCILE = {
  RECONCILE_SIIRAYS_SHARE: withDefault(
    wholeNumber(1, 100),
    '50',
    'Percent of the time that a reconciliation may keep one session of SIIRAyS busy. After each range it rests, and ' +
      'longer where SIIRAyS answers slowly.',
  ),
  RECONCILE_PATIENCE: withDefault(
    duration('1s', '1h'),
    '20s',
    'A second look waits so long for the replica or FASTAAPS to come along; five looks without one are undecided.',
  ),
  RECONCILE_REPAIR_PATIENCE: withDefault(
    duration('1s', '1h'),
    '60s',
    'A repair may take so long to show before the difference counts as left.',
  ),
  RECONCILE_KEEP: withDefault(duration('1h', '3650d'), '90d', 'How long runs and their differences are kept ...'),
  RECONCILE_KEEP_RUNS: withDefault(wholeNumber(10, 1_000_000), '5000', '... and how many of them at most.'),
};

export const RECONCILER = {
  RECONCILE_SCHEDULE: withDefault(
    cron,
    '*/15 * * * *',
    'When every connector is reconciled: cron (minute hour day month weekday), or off.',
  ),
  RECONCILE_SCHEDULE_MODE: withDefault(
    oneOf(['verify', 'repair']),
    'repair',
    'What the schedule does: verify or repair.',
  ),
  RECONCILE_DIRECT_SCHEDULE: withDefault(
    cron,
    '0 3 * * *',
    "When SIIRAyS's own documents are compared with FASTAAPS: cron, or off.",
  ),
  RECONCILE_TIMEZONE: withDefault(timeZone, 'America/La_Paz', 'Time zone of both schedules (IANA name).'),
  API_HOST: withDefault(text, '127.0.0.1', 'Address that the HTTP API listens on. 0.0.0.0 in a container.'),
  API_PORT: withDefault(wholeNumber(0, 65_535), '8090', 'Its port. 0: any free one, which the log names.'),
  API_OPERATOR_USERNAME: withDefault(text, 'operator', 'User who may start and change things (HTTP Basic).'),
  API_OPERATOR_PASSWORD: required(text, {
    secret: true,
    meaning: 'Its password, or scrypt:… as `siirays-sync hash-password` writes it.',
    example: 'PASSWORD',
  }),
  API_VIEWER_USERNAME: withDefault(text, 'viewer', 'User who may only look.'),
  API_VIEWER_PASSWORD: optional(text, {
    secret: true,
    meaning: 'Its password, or its hash. Without one there is no such user.',
    example: 'PASSWORD',
  }),
};

export const PROCESS = {
  HTTP_HOST: withDefault(text, '127.0.0.1', 'Address that health and metrics listen on. 0.0.0.0 in a container.'),
  HTTP_PORT: optional(wholeNumber(0, 65_535), {
    meaning: 'Its port. Not set: 8081 producer, 8082 consumer, 8083 reconciler. 0: any free one, which the log names.',
    example: '8081',
  }),
  METRICS_USERNAME: withDefault(text, 'metrics', 'User name for /metrics (HTTP Basic).'),
  METRICS_PASSWORD: optional(text, {
    secret: true,
    meaning: 'Its password. Without one, /metrics answers 403.',
    example: 'PASSWORD',
  }),
  INSTANCE_ID: optional(
    matching(/^[A-Za-z0-9._-]{1,40}$/, 'letters, digits, dots, hyphens and underscores, 40 at most'),
    {
      meaning:
        'Name of this process, unique among those running. The same instance started again takes over at once ' +
        'instead of waiting for LEASE_TIMEOUT. Not set: host name and process id.',
      example: 'consumer-epsa-1',
    },
  ),
  LOG_LEVEL: withDefault(
    oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']),
    'info',
    'fatal, error, warn, info, debug, trace or silent.',
  ),
  RETRY_MIN: withDefault(
    duration('1ms', '10m'),
    '100ms',
    'First wait before something that failed is tried again; it doubles each time, with jitter ...',
  ),
  RETRY_MAX: withDefault(duration('1ms', '1h'), '10s', '... up to this.'),
};

/** The groups with their titles. */
export const GROUPS: { title: string; variables: Variables }[] = [
  { title: 'SIIRAyS (producer, reconciler)', variables: SIIRAYS },
  { title: 'Kafka (every process)', variables: KAFKA },
  { title: 'Schema registry (producer, consumer)', variables: REGISTRY },
  { title: 'FASTAAPS (consumer, reconciler)', variables: FASTAAPS },
  { title: 'Sync database (consumer, reconciler)', variables: SYNC },
  { title: 'Connectors (every process)', variables: CONNECTORS },
  { title: 'Producer: snapshots and writing', variables: PRODUCER },
  { title: 'Consumer: merging, projecting, delivering', variables: CONSUMER },
  { title: 'Reconciliation (reconciler, reconcile)', variables: RECONCILE },
  { title: 'Reconciler: schedule and HTTP API', variables: RECONCILER },
  { title: 'Every process', variables: PROCESS },
];

/** All variables of all processes. */
export const ALL_VARIABLES: Variables = Object.assign({}, ...GROUPS.map((group) => group.variables));
