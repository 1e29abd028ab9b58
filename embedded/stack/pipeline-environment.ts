import type { Ports, ProcessName } from './names.ts';
import type { Secrets } from './secrets.ts';
import { SIIRAYS_DATABASE, SYNC_ROLE } from './siirays-database.ts';

export const FASTAAPS_USERNAME = 'siirays-sync';
export const OPERATOR_USERNAME = 'operator';
export const VIEWER_USERNAME = 'viewer';

export type Environment = Record<string, string | undefined>;

const HOST = '127.0.0.1';

/**
 * As in the Dockerfile. What lives at one time is 60 MB or so, whatever the size of a transaction; left alone, V8 lets four
 * times as much garbage gather before it looks. A small young generation costs little where objects die at once or stay.
 */
const HEAP = '--max-old-space-size=256 --max-semi-space-size=8';

/** What the stack itself sets: a value from the surrounding shell would point a part to somewhere else. Schedules pass, to be tried. */
const OWN = /^(SIIRAYS|SYNC|KAFKA|REGISTRY|FASTAAPS|METRICS|HTTP|API|INSTANCE|CONNECTORS?)_?/;

/** Unsets those variables of this process for a child. */
export function withoutOwn(): Environment {
  const names = Object.keys(process.env).filter((name) => OWN.test(name));
  return Object.fromEntries(names.map((name) => [name, undefined]));
}

/** Where a process's health and metrics are. */
export function healthPort(name: ProcessName, ports: Ports): number {
  return name === 'reconciler' ? ports.reconcilerHealth : ports[name];
}

/** The settings of a process of the pipeline in a stack with these ports. */
export function pipelineEnvironment(
  name: ProcessName,
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
    NODE_OPTIONS: HEAP,
    HTTP_HOST: HOST,
    HTTP_PORT: String(healthPort(name, ports)),
    METRICS_PASSWORD: secrets.metrics,
    INSTANCE_ID: `${name}-1`,
    ...(name === 'reconciler' ? apiEnvironment(ports, secrets) : {}),
  };
}

function apiEnvironment(ports: Ports, secrets: Secrets): Record<string, string> {
  return {
    API_HOST: HOST,
    API_PORT: String(ports.reconciler),
    API_OPERATOR_USERNAME: OPERATOR_USERNAME,
    API_OPERATOR_PASSWORD: secrets.operator,
    API_VIEWER_USERNAME: VIEWER_USERNAME,
    API_VIEWER_PASSWORD: secrets.viewer,
  };
}
