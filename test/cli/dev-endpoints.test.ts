import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { withDevEndpoints } from '../../src/cli/dev-endpoints.ts';
import { loadConsumerConfig, loadProducerConfig } from '../../src/config/config.ts';
import { tempDir } from '../support/temp-dir.ts';

const folder = tempDir('endpoints');
after(() => folder.remove());

const ENDPOINTS = {
  siirays: 'postgres://siirays:p%40ss@127.0.0.1:5432/siirays2019',
  sync: 'postgres://sync:pw@127.0.0.1:5433/sync',
  fastaapsDatabase: 'postgres://fastaaps:pw@127.0.0.1:5433/fastaaps',
  pgbouncer: '127.0.0.1:6432',
  kafka: '127.0.0.1:9092',
  registry: 'http://127.0.0.1:8080',
  fastaaps: 'http://127.0.0.1:8000',
  fastaapsAuth: 'sync:a:b',
};

function file(name: string, content: string): string {
  const path = join(folder.path, name);
  writeFileSync(path, content);
  return path;
}

describe('endpoints of npm start', () => {
  const path = file('endpoints.json', JSON.stringify(ENDPOINTS));

  it('serve where the environment names none', () => {
    const env = withDevEndpoints({ LOG_LEVEL: 'debug' }, path);
    const { siirays, registry, kafka, logLevel } = loadProducerConfig(env);
    assert.equal(siirays.url, ENDPOINTS.siirays);
    assert.equal(siirays.readUrl, 'postgres://siirays:p%40ss@127.0.0.1:6432/siirays2019');
    assert.equal(registry.url, 'http://127.0.0.1:8080/apis/ccompat/v7');
    assert.deepEqual(kafka.brokers, ['127.0.0.1:9092']);
    assert.equal(logLevel, 'debug');
    const { syncUrl, fastaaps } = loadConsumerConfig(env);
    assert.equal(syncUrl, ENDPOINTS.sync);
    assert.deepEqual([fastaaps.url, fastaaps.username, fastaaps.password], [ENDPOINTS.fastaaps, 'sync', 'a:b']);
  });

  it('do not serve where it names even one', () => {
    const env = { SYNC_URL_FILE: '/run/secrets/sync_url' };
    assert.equal(withDevEndpoints(env, path), env);
  });

  it('take PgBouncer and the registry as whole addresses too', () => {
    const bouncer = 'postgres://siirays:pw@127.0.0.1:6432/siirays2019';
    const whole = { ...ENDPOINTS, pgbouncer: bouncer, registry: 'http://127.0.0.1:8080/apis/ccompat/v7' };
    const env = withDevEndpoints({}, file('whole.json', JSON.stringify(whole)));
    assert.equal(env.SIIRAYS_READ_URL, bouncer);
    assert.equal(env.REGISTRY_URL, whole.registry);
  });

  it('are not asked for where there is no file, and are refused where the file is something else', () => {
    const env = {};
    assert.equal(withDevEndpoints(env, join(folder.path, 'none.json')), env);
    assert.throws(
      () => withDevEndpoints({}, file('half.json', '{"siirays":')),
      /half\.json is not what npm start writes/,
    );
    assert.throws(() => withDevEndpoints({}, file('other.json', '{}')), /siirays/);
  });
});
