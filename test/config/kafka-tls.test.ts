import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { loadProducerConfig } from '../../src/config/config.ts';
import { ConfigurationError } from '../../src/config/configuration-error.ts';

const PRODUCER = {
  SIIRAYS_URL: 'postgres://sync:s3cret@db:5432/siirays2019',
  KAFKA_BROKERS: 'localhost:9092',
  REGISTRY_URL: 'http://localhost:8080',
};

let folder: string;
const path = (name: string) => join(folder, name);

/** A self-signed certificate and its key, by the openssl of the machine. */
function makeCertificate(name: string): void {
  const subject = ['-subj', `/CN=${name}`, '-days', '1', '-nodes'];
  const files = ['-keyout', path(`${name}.key`), '-out', path(`${name}.pem`)];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  execFileSync('openssl', ['req', '-x509', ...kind, ...subject, ...files], { stdio: 'ignore' });
}

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'tls-'));
  makeCertificate('ours');
  makeCertificate('theirs');
  writeFileSync(path('text'), 'no certificate');
  writeFileSync(path('broken.pem'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
});
after(() => rmSync(folder, { recursive: true }));

function problems(env: Record<string, string>): string[] {
  try {
    loadProducerConfig({ ...PRODUCER, ...env });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return error.problems.map(({ variable, expected }) => `${variable}: ${expected}`);
  }
}

describe('TLS of Kafka', () => {
  it("is off by default and on with the system's authorities for KAFKA_SSL=true", () => {
    assert.equal(loadProducerConfig(PRODUCER).kafka.ssl, undefined);
    assert.equal(loadProducerConfig({ ...PRODUCER, KAFKA_SSL: 'true' }).kafka.ssl, true);
  });

  it('takes the texts of the files', () => {
    const { ssl } = loadProducerConfig({
      ...PRODUCER,
      KAFKA_SSL_CA_FILE: path('ours.pem'),
      KAFKA_SSL_CERT_FILE: path('ours.pem'),
      KAFKA_SSL_KEY_FILE: path('ours.key'),
    }).kafka;
    const pem = readFileSync(path('ours.pem'), 'utf8');
    assert.deepEqual(ssl, { ca: pem, cert: pem, key: readFileSync(path('ours.key'), 'utf8') });
  });

  it('says which file is missing, is none, or does not fit', () => {
    assert.match(problems({ KAFKA_SSL_CA_FILE: path('none') })[0]!, /^KAFKA_SSL_CA_FILE: .*ENOENT/);
    assert.match(problems({ KAFKA_SSL_CA_FILE: path('text') })[0]!, /no such block/);
    assert.match(problems({ KAFKA_SSL_CA_FILE: path('broken.pem') })[0]!, /cannot be parsed/);
    assert.match(problems({ KAFKA_SSL_CERT_FILE: path('ours.pem') })[0]!, /^KAFKA_SSL_KEY_FILE: a value/);
    const mixed = { KAFKA_SSL_CERT_FILE: path('ours.pem'), KAFKA_SSL_KEY_FILE: path('theirs.key') };
    assert.match(problems(mixed)[0]!, /^KAFKA_SSL_KEY_FILE: the private key that belongs/);
    assert.match(problems({ KAFKA_SSL: 'false', KAFKA_SSL_CA_FILE: path('ours.pem') })[0]!, /^KAFKA_SSL: true/);
  });
});
