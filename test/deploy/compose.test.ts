import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { parse } from 'yaml';
import { configurationWarnings, loadConsumerConfig, loadProducerConfig } from '../../src/config/config.ts';
import { knownVariables } from '../../src/config/unknown-variables.ts';
import { tempDir } from '../support/temp-dir.ts';

const ROOT = join(import.meta.dirname, '../..');
const FASTAAPS_URL = 'https://fastaaps.example';

interface Service {
  build?: unknown;
  image?: string;
  environment?: Record<string, string | number>;
  secrets?: string[];
  read_only?: boolean;
  cap_drop?: string[];
  security_opt?: string[];
  healthcheck?: unknown;
  ports?: string[];
}

const compose = parse(readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8'), { merge: true }) as {
  services: Record<string, Service>;
  secrets: Record<string, { file: string }>;
};
const services = Object.entries(compose.services);
const ours = services.filter(([, service]) => service.build !== undefined);

const folder = tempDir('compose');
after(() => folder.remove());

function makeSecrets(): void {
  const env = {
    PATH: process.env.PATH,
    SIIRAYS_URL: 'postgres://siirays_sync:p%40s%22s%C3%A9@siirays.example:5433/siirays2019?sslmode=verify-full',
    FASTAAPS_PASSWORD: 'given',
  };
  execFileSync(join(ROOT, 'deploy/make-secrets.sh'), [folder.path], { env, stdio: 'ignore' });
}

const secret = (name: string) => readFileSync(join(folder.path, name), 'utf8').trimEnd();

describe('docker-compose.yml', () => {
  const installed = spawnSync('docker-compose', ['version']).error === undefined;
  it('is valid for docker-compose config', { skip: installed ? false : 'docker-compose is not installed' }, () => {
    const env = { PATH: process.env.PATH, FASTAAPS_URL };
    const { status, stderr } = spawnSync(
      'docker-compose',
      ['-f', join(ROOT, 'docker-compose.yml'), 'config', '--quiet'],
      {
        env,
        encoding: 'utf8',
      },
    );
    assert.deepEqual([status, stderr], [0, '']);
  });

  it('names only variables of ours that the configuration knows', () => {
    assert.deepEqual(
      ours.map(([name]) => name),
      ['producer', 'consumer', 'reconciler'],
    );
    for (const [name, { environment }] of ours) {
      const unknown = Object.keys(environment ?? {}).filter((variable) => !knownVariables().includes(variable));
      assert.deepEqual(unknown, [], name);
    }
  });

  it('has no password in it', () => {
    for (const [name, { environment = {} }] of services) {
      for (const [variable, value] of Object.entries(environment)) {
        if (/PASSWORD|TOKEN|SECRET/.test(variable))
          assert.match(String(value), /^\/run\/secrets\//, `${name} ${variable}`);
      }
    }
  });

  it('takes as few rights as possible', () => {
    for (const [name, service] of services) {
      assert.deepEqual(service.cap_drop, ['ALL'], name);
      assert.deepEqual(service.security_opt, ['no-new-privileges:true'], name);
      assert.ok(service.healthcheck, name);
      for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:/, name);
      if (!service.build) assert.match(service.image ?? '', /:v?\d+(\.\d+)*/, `${name}: a version`);
      // Kafka's image writes its settings into its own folder when it starts.
      if (name !== 'kafka') assert.equal(service.read_only, true, name);
    }
  });
});

describe('deploy/make-secrets.sh', () => {
  it('makes every file that docker-compose.yml names, and no other', () => {
    makeSecrets();
    const named = Object.values(compose.secrets).map(({ file }) => basename(file));
    assert.deepEqual(readdirSync(folder.path).sort(), named.sort());
    for (const [name, service] of services) {
      for (const used of service.secrets ?? []) assert.ok(compose.secrets[used], `${name} ${used}`);
    }
  });

  it('changes nothing when it runs again', () => {
    const before = readdirSync(folder.path).map(secret);
    makeSecrets();
    assert.deepEqual(readdirSync(folder.path).map(secret), before);
  });

  it('gives the processes a configuration that they accept', () => {
    const environment = (name: string) => {
      const entries = Object.entries(compose.services[name]?.environment ?? {});
      return Object.fromEntries(
        entries.map(([variable, value]) => {
          const text = String(value)
            .replace('/run/secrets/', `${folder.path}/`)
            .replace(/\$\{FASTAAPS_URL:\?.*\}/, FASTAAPS_URL)
            .replace(/\$\{\w+:-(.*)\}/, '$1');
          return [variable, text];
        }),
      );
    };
    const producer = environment('producer');
    const { siirays } = loadProducerConfig(producer);
    assert.equal(siirays.readUrl, 'postgres://siirays_sync:p%40s%22s%C3%A9@pgbouncer:6432/siirays2019');
    const consumer = environment('consumer');
    assert.equal(loadConsumerConfig(consumer).fastaaps.password, 'given');
    assert.deepEqual(configurationWarnings({ ...producer, ...consumer }), []);
  });

  it("tells PgBouncer the producer's user and SIIRAyS's place", () => {
    assert.equal(secret('pgbouncer_users'), '"siirays_sync" "p@s""sé"');
    assert.equal(secret('pgbouncer_databases'), 'siirays2019 = host=siirays.example port=5433');
  });
});

describe('Dockerfile', () => {
  const lines = readFileSync(join(ROOT, 'Dockerfile'), 'utf8').split('\n');

  it('ends as a user who is not root, with what is in the repository', () => {
    const last = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')));
    assert.ok(last.includes('USER node'));
    const copied = last.filter((line) => line.startsWith('COPY ') && !line.includes('--from='));
    const sources = copied.flatMap((line) => line.split(' ').slice(1, -1));
    const here = readdirSync(ROOT);
    for (const source of sources) assert.ok(here.includes(source), source);
    const allowed = readFileSync(join(ROOT, '.dockerignore'), 'utf8');
    for (const source of sources) assert.ok(allowed.includes(`!${source}\n`), `.dockerignore hides ${source}`);
  });

  it('has the Node version that package.json asks for', () => {
    assert.ok(lines.filter((line) => line.startsWith('FROM ')).every((line) => line.startsWith('FROM node:24-slim')));
  });
});
