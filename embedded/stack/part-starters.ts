import { join } from 'node:path';
import { startApicurio } from '../apicurio.ts';
import { startKafka } from '../kafka-broker.ts';
import type { Part, PartChange } from '../part.ts';
import { startPgBouncer } from '../pgbouncer.ts';
import { startPostgres } from '../postgres-server.ts';
import type { PartName, Ports, ProcessName } from './names.ts';
import { nodePart } from './node-part.ts';
import { FASTAAPS_USERNAME, healthPort } from './pipeline-environment.ts';
import type { Secrets } from './secrets.ts';
import { SIIRAYS_DATABASE, SIIRAYS_OWNER, SYNC_ROLE } from './siirays-database.ts';

/** What is needed to start any part of one stack. */
export interface StackPlan {
  dir: string;
  ports: Ports;
  secrets: Secrets;
  connectorsDir: string;
  traffic: number;
  siiraysBinaries?: string;
  kafkaSettings?: Record<string, string>;
  likeToday?: boolean;
  environment(name: ProcessName): Record<string, string>;
  onChange(change: PartChange): void;
  onLog?(name: ProcessName, line: string): void;
}

const HOST = '127.0.0.1';

/** For each part the function that starts it and waits until it is ready; what it needs must be there. */
export function partStarters(plan: StackPlan): Record<PartName, () => Promise<Part>> {
  const { dir, ports, secrets, onChange } = plan;
  const common = (name: PartName) => ({ name, logFile: join(dir, 'logs', `${name}.log`), onChange });

  const postgres = async (name: 'siirays' | 'postgres', settings: Record<string, string>): Promise<Part> => {
    const binaries = name === 'siirays' ? plan.siiraysBinaries : undefined;
    const own = { dir: join(dir, name), port: ports[name], password: secrets.superuser };
    const all = { max_connections: '200', ...settings };
    return (await startPostgres({ ...common(name), ...own, settings: all, binaries })).part;
  };

  const pipeline = (name: ProcessName): Promise<Part> => {
    const onLine = (line: string): void => plan.onLog?.(name, line);
    // The reconciler's API listens once it is ready; the others may wait long for what they need, and live.
    const path = name === 'reconciler' ? 'readyz' : 'healthz';
    const healthUrl = `http://${HOST}:${healthPort(name, ports)}/${path}`;
    const program = ['src/cli.ts', name];
    return nodePart({ ...common(name), program, env: plan.environment(name), healthUrl, onLine }).start();
  };

  return {
    siirays: () => postgres('siirays', { wal_level: 'logical' }),
    postgres: () => postgres('postgres', {}),
    kafka: async () => {
      const places = { port: ports.kafka, controllerPort: ports.kafkaController };
      const own = { dir: join(dir, 'kafka'), ...places, settings: plan.kafkaSettings };
      return (await startKafka({ ...common('kafka'), ...own })).part;
    },
    registry: async () => {
      const server = { host: HOST, port: ports.postgres };
      const database = { ...server, name: 'registry', username: 'registry', password: secrets.registry };
      const own = { port: ports.registry, managementPort: ports.registryManagement, database };
      return (await startApicurio({ ...common('registry'), ...own })).part;
    },
    pgbouncer: async () => {
      const users = { [SYNC_ROLE]: secrets.siirays_sync, [SIIRAYS_OWNER]: secrets.siirays };
      const behind = { server: { host: HOST, port: ports.siirays }, database: SIIRAYS_DATABASE, users };
      const own = { dir: join(dir, 'pgbouncer'), port: ports.pgbouncer, ...behind };
      return (await startPgBouncer({ ...common('pgbouncer'), ...own })).part;
    },
    fastaaps: () => {
      const env = {
        FASTAAPS_DATABASE_URL: `postgres://fastaaps:${secrets.fastaaps}@${HOST}:${ports.postgres}/fastaaps`,
        HTTP_HOST: HOST,
        HTTP_PORT: String(ports.fastaaps),
        FASTAAPS_USERNAME,
        FASTAAPS_PASSWORD: secrets.fastaapsHttp,
        FASTAAPS_CONNECTORS_DIR: plan.connectorsDir,
      };
      const healthUrl = `http://${HOST}:${ports.fastaaps}/healthz`;
      const program = ['embedded/fastaaps/main.ts', ...(plan.likeToday ? ['--like-today'] : [])];
      return nodePart({ ...common('fastaaps'), program, env, healthUrl }).start();
    },
    producer: () => pipeline('producer'),
    consumer: () => pipeline('consumer'),
    reconciler: () => pipeline('reconciler'),
    traffic: () => {
      const program = ['embedded/siirays/traffic.ts', '--rate', String(plan.traffic)];
      const url = `postgres://${SIIRAYS_OWNER}:${secrets.siirays}@${HOST}:${ports.siirays}/${SIIRAYS_DATABASE}`;
      return nodePart({ ...common('traffic'), program, env: { SIIRAYS_URL: url } }).start();
    },
  };
}
