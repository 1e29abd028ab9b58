import type { Ports } from './names.ts';
import type { Secrets } from './secrets.ts';
import { SIIRAYS_DATABASE, SYNC_ROLE } from './siirays-database.ts';

export const FASTAAPS_USERNAME = 'siirays-sync';

export type Environment = Record<string, string | undefined>;

const HOST = '127.0.0.1';

/** What the stack itself sets: a value from the surrounding shell would point a part to somewhere else. */
const OWN = /^(SIIRAYS|SYNC|KAFKA|REGISTRY|FASTAAPS|METRICS|HTTP|INSTANCE|CONNECTORS?)_?/;

/** Unsets those variables of this process for a child. */
export function withoutOwn(): Environment {
  const names = Object.keys(process.env).filter((name) => OWN.test(name));
  return Object.fromEntries(names.map((name) => [name, undefined]));
}

/** The settings of the producer or of the consumer in a stack with these ports. */
export function pipelineEnvironment(
  name: 'producer' | 'consumer',
  ports: Ports,
  secrets: Secrets,
  connectorsDir: string,
): Record<string, string> {
  const siirays = (port: number): string =>
    `postgres://${SYNC_ROLE}:${secrets.siirays_sync}@${HOST}:${port}/${SIIRAYS_DATABASE}`;
  return {
    SIIRAYS_URL: siirays(ports.siirays),
    SIIRAYS_READ_URL: siirays(ports.pgbouncer),
    SYNC_URL: `postgres://sync:${secrets.sync}@${HOST}:${ports.postgres}/sync`,
    KAFKA_BROKERS: `${HOST}:${ports.kafka}`,
    REGISTRY_URL: `http://${HOST}:${ports.registry}/apis/ccompat/v7`,
    FASTAAPS_URL: `http://${HOST}:${ports.fastaaps}`,
    FASTAAPS_USERNAME,
    FASTAAPS_PASSWORD: secrets.fastaapsHttp,
    CONNECTORS_DIR: connectorsDir,
    HTTP_HOST: HOST,
    HTTP_PORT: String(ports[name]),
    METRICS_PASSWORD: secrets.metrics,
    INSTANCE_ID: `${name}-1`,
  };
}
