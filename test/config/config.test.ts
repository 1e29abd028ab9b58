import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { configurationWarnings, loadConsumerConfig, loadProducerConfig } from '../../src/config/config.ts';
import { ConfigurationError } from '../../src/config/configuration-error.ts';

const PRODUCER = {
  SIIRAYS_URL: 'postgres://sync:s3cret@db:5432/siirays2019',
  KAFKA_BROKERS: 'localhost:9092',
  REGISTRY_URL: 'http://localhost:8080/apis/ccompat/v7/',
};

const CONSUMER = {
  SYNC_URL: 'postgres://sync:s3cret@db:5432/sync',
  KAFKA_BROKERS: 'k1:9092, k2:9093,[::1]:9094',
  REGISTRY_URL: 'http://localhost:8080',
  FASTAAPS_URL: 'https://fastaaps.example',
};

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'config-'));
});
after(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** The error that loading ends with. */
function failure(load: () => unknown): ConfigurationError {
  try {
    load();
  } catch (error) {
    if (error instanceof ConfigurationError) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: 'the configuration was accepted' });
}

function problemsOf(load: () => unknown): string[] {
  return failure(load).problems.map((problem) => problem.variable);
}

describe('producer configuration', () => {
  it('needs three variables and has documented defaults for the rest', () => {
    const config = loadProducerConfig({ ...PRODUCER, INSTANCE_ID: 'p1' });
    assert.deepEqual(config, {
      siirays: {
        url: PRODUCER.SIIRAYS_URL,
        readUrl: PRODUCER.SIIRAYS_URL,
        slot: 'siirays_sync',
        publication: 'siirays_sync',
        walSenderTimeoutMs: 5000,
      },
      kafka: {
        brokers: ['localhost:9092'],
        clientId: 'siirays-sync',
        ssl: undefined,
        sasl: undefined,
        topicPrefix: 'siirays',
        replicationFactor: 1,
        transactionTimeoutMs: 300_000,
        maxMessageBytes: 1_000_000,
        retentionMs: 604_800_000,
      },
      registry: {
        url: 'http://localhost:8080/apis/ccompat/v7',
        username: undefined,
        password: undefined,
        caFile: undefined,
      },
      retry: { minMs: 100, maxMs: 10_000 },
      connectorsDir: 'connectors',
      snapshot: { chunkBytes: 4 * 1024 * 1024, chunkRows: 10_000, lockTimeoutMs: 2000 },
      writer: { batchBytes: 4 * 1024 * 1024 },
      http: { host: '127.0.0.1', port: 8081, metricsUsername: 'metrics', metricsPassword: undefined },
      instanceId: 'p1',
      logLevel: 'info',
    });
  });

  it('is frozen through and through', () => {
    const config = loadProducerConfig(PRODUCER);
    assert.throws(() => {
      (config.kafka as { clientId: string }).clientId = 'x';
    }, TypeError);
    assert.throws(() => config.kafka.brokers.push('x'), TypeError);
  });

  it('names the process by host and pid where INSTANCE_ID is not set', () => {
    assert.match(loadProducerConfig(PRODUCER).instanceId, new RegExp(`-${process.pid}$`));
  });

  it('lists every mistake at once: variable, what was given, what is expected', () => {
    const error = failure(() =>
      loadProducerConfig({
        SIIRAYS_URL: 'mysql://sync:s3cret@db/siirays2019',
        KAFKA_BROKERS: 'localhost',
        SNAPSHOT_CHUNK_BYTES: '4 megs',
        RETRY_MAX: '10',
        LOG_LEVEL: 'loud',
        HTTP_PORT: '70000',
        KAFKA_SSL: 'yes',
      }),
    );
    const told = Object.fromEntries(error.problems.map(({ variable, ...rest }) => [variable, rest]));
    assert.deepEqual(Object.keys(told).sort(), [
      'HTTP_PORT',
      'KAFKA_BROKERS',
      'KAFKA_SSL',
      'LOG_LEVEL',
      'REGISTRY_URL',
      'RETRY_MAX',
      'SIIRAYS_URL',
      'SNAPSHOT_CHUNK_BYTES',
    ]);
    assert.equal(told.KAFKA_BROKERS!.given, '"localhost"');
    assert.match(told.KAFKA_BROKERS!.expected, /host:port/);
    assert.equal(told.REGISTRY_URL!.given, 'nothing');
    assert.match(told.RETRY_MAX!.expected, /500ms, 30s/);
    assert.match(told.SNAPSHOT_CHUNK_BYTES!.expected, /8MiB/);
    assert.match(told.HTTP_PORT!.expected, /0 to 65535/);
    for (const variable of Object.keys(told)) assert.ok(error.message.includes(`  ${variable}: got `));
  });

  it("never shows a secret's value", () => {
    const error = failure(() => loadProducerConfig({ ...PRODUCER, SIIRAYS_URL: 'postgres://sync:s3cret@/x y' }));
    assert.equal(error.problems[0]!.given, 'a secret value');
    assert.ok(!error.message.includes('s3cret'));
  });

  it('takes SIIRAYS_READ_URL for reading', () => {
    const readUrl = 'postgres://sync:s3cret@bouncer:6432/siirays2019';
    assert.equal(loadProducerConfig({ ...PRODUCER, SIIRAYS_READ_URL: readUrl }).siirays.readUrl, readUrl);
  });

  it('accepts what the driver accepts of URLs and refuses what it cannot read', () => {
    const accepted = [
      'postgresql://u:p@db/siirays2019?sslmode=verify-full',
      'postgres://u:p%40ss@[::1]:5432/siirays2019',
      'postgres:///siirays2019?user=u&host=/var/run/postgresql',
    ];
    for (const url of accepted) assert.equal(loadProducerConfig({ ...PRODUCER, SIIRAYS_URL: url }).siirays.url, url);
    const refused = [
      'postgres://db/siirays2019',
      'postgres://u:p@db',
      'postgres://u:p@db/x?sslmode=maybe',
      `postgres://u:p@db/x?sslmode=verify-full&sslrootcert=${folder}/none.pem`,
      'db',
    ];
    for (const url of refused) {
      assert.deepEqual(
        problemsOf(() => loadProducerConfig({ ...PRODUCER, SIIRAYS_URL: url })),
        ['SIIRAYS_URL'],
      );
    }
  });

  it('counts a variable set to nothing as not set', () => {
    const config = loadProducerConfig({ ...PRODUCER, RETRY_MIN: '', SIIRAYS_READ_URL: '', KAFKA_SSL: '' });
    assert.equal(config.retry.minMs, 100);
    assert.equal(config.kafka.ssl, undefined);
  });
});

describe('consumer configuration', () => {
  it('needs four variables', () => {
    const config = loadConsumerConfig(CONSUMER);
    assert.deepEqual(config.kafka.brokers, ['k1:9092', 'k2:9093', '[::1]:9094']);
    assert.equal(config.connector, 'epsa');
    assert.equal(config.http.port, 8082);
    assert.deepEqual(config.lease, { renewMs: 500, timeoutMs: 3000 });
    assert.equal(config.queueBytes, 8 * 1024 * 1024);
    assert.equal(config.fastaaps.timeoutMs, 60_000);
    assert.deepEqual(
      problemsOf(() => loadConsumerConfig({})),
      ['SYNC_URL', 'KAFKA_BROKERS', 'REGISTRY_URL', 'FASTAAPS_URL'],
    );
  });

  it('refuses user and password within an address', () => {
    assert.deepEqual(
      problemsOf(() => loadConsumerConfig({ ...CONSUMER, FASTAAPS_URL: 'https://u:p@fastaaps.example' })),
      ['FASTAAPS_URL'],
    );
  });

  it('refuses a lease that one missed renewal would end, and a back-off that shrinks', () => {
    const slips = { LEASE_RENEW: '2s', LEASE_TIMEOUT: '3s', RETRY_MIN: '1m', RETRY_MAX: '1s' };
    assert.deepEqual(
      problemsOf(() => loadConsumerConfig({ ...CONSUMER, ...slips })),
      ['LEASE_TIMEOUT', 'RETRY_MAX'],
    );
  });

  it('asks for logins to be whole', () => {
    assert.deepEqual(
      problemsOf(() =>
        loadConsumerConfig({
          ...CONSUMER,
          REGISTRY_USERNAME: 'u',
          FASTAAPS_PASSWORD: 'p',
          KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
        }),
      ),
      ['KAFKA_SASL_USERNAME', 'KAFKA_SASL_PASSWORD', 'REGISTRY_PASSWORD', 'FASTAAPS_USERNAME'],
    );
    assert.deepEqual(
      problemsOf(() =>
        loadConsumerConfig({
          ...CONSUMER,
          FASTAAPS_USERNAME: 'u',
          FASTAAPS_PASSWORD: 'p',
          FASTAAPS_TOKEN: 't',
        }),
      ),
      ['FASTAAPS_TOKEN'],
    );
  });

  it('reads SASL', () => {
    const { kafka } = loadConsumerConfig({
      ...CONSUMER,
      KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
      KAFKA_SASL_USERNAME: 'u',
      KAFKA_SASL_PASSWORD: 'p',
    });
    assert.deepEqual(kafka.sasl, { mechanism: 'scram-sha-512', username: 'u', password: 'p' });
  });
});

describe('secrets as files', () => {
  it('reads NAME_FILE, whose last newline does not count', () => {
    const config = loadConsumerConfig({
      ...CONSUMER,
      FASTAAPS_USERNAME: 'u',
      FASTAAPS_PASSWORD_FILE: file('password', ' two words \n'),
    });
    assert.equal(config.fastaaps.password, ' two words ');
  });

  it('refuses a value beside a file, a file that is not there, and an empty one', () => {
    const error = failure(() =>
      loadConsumerConfig({
        ...CONSUMER,
        SYNC_URL_FILE: file('url', CONSUMER.SYNC_URL),
        FASTAAPS_TOKEN_FILE: join(folder, 'none'),
        METRICS_PASSWORD_FILE: file('empty', '\n'),
      }),
    );
    assert.deepEqual(
      error.problems.map(({ variable, given, expected }) => `${variable}|${given}|${expected}`),
      [
        'SYNC_URL|both SYNC_URL and SYNC_URL_FILE|one of the two',
        `FASTAAPS_TOKEN_FILE|"${join(folder, 'none')}"|a readable file (ENOENT)`,
        `METRICS_PASSWORD_FILE|"${join(folder, 'empty')}"|a file that is not empty`,
      ],
    );
  });

  it('does not read the files of variables that are no secrets', () => {
    assert.deepEqual(
      problemsOf(() => loadConsumerConfig({ ...CONSUMER, FASTAAPS_URL: '', FASTAAPS_URL_FILE: file('u', 'http://x') })),
      ['FASTAAPS_URL'],
    );
  });
});

describe('misspelt variables', () => {
  it('warns of unknown names with our prefixes and of near ones, and names the nearest known', () => {
    const warnings = configurationWarnings({
      ...PRODUCER,
      KAFKA_BROKER: 'x:1',
      KAKFA_BROKERS: 'x:1',
      SIIRAYS_SLOTS: 'x',
      SNAPSHOT_SOMETHING_ELSE: 'x',
      HTTP_PROXY: 'http://proxy',
      KAFKA_SERVICE_HOST: '10.0.0.1',
      KAFKA_PORT_9092_TCP_ADDR: '10.0.0.1',
      HOME: '/home/x',
      SIIRAYS_EMPTY: '',
    });
    assert.deepEqual(warnings, [
      'KAFKA_BROKER is not a variable of this program; did you mean KAFKA_BROKERS?',
      'KAKFA_BROKERS is not a variable of this program; did you mean KAFKA_BROKERS?',
      'SIIRAYS_SLOTS is not a variable of this program; did you mean SIIRAYS_SLOT?',
      'SNAPSHOT_SOMETHING_ELSE is not a variable of this program',
    ]);
  });

  it('knows the variables of the other processes and the files of secrets', () => {
    assert.deepEqual(
      configurationWarnings({ ...PRODUCER, ...CONSUMER, SYNC_URL_FILE: '/x', METRICS_PASSWORD: 'x' }),
      [],
    );
  });

  it('adds them to the error, whose cause they may be', () => {
    const error = failure(() => loadProducerConfig({ ...PRODUCER, KAFKA_BROKERS: '', KAFKA_BROKER: 'x:1' }));
    assert.match(error.message, /note: KAFKA_BROKER is not .* did you mean KAFKA_BROKERS\?/);
  });
});
