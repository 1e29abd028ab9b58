/**
 * Beside `npm start`, commands find the embedded stack by a file that it writes. The file is used only where the
 * environment names no endpoint at all, so that a half-configured command never mixes two installations.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Environment } from '../config/read-variables.ts';
import { fileVariable } from '../config/variable.ts';

/** Where the embedded stack writes it, seen from the project's folder. */
export const DEV_ENDPOINTS_FILE = '.dev/endpoints.json';

/** Path of Confluent's API in Apicurio Registry, where the file names only the host. */
const CONFLUENT_API = '/apis/ccompat/v7';

const ENDPOINT_VARIABLES = [
  'SIIRAYS_URL',
  'SIIRAYS_READ_URL',
  'SYNC_URL',
  'KAFKA_BROKERS',
  'REGISTRY_URL',
  'FASTAAPS_URL',
];

const endpoints = z.object({
  siirays: z.string(),
  pgbouncer: z.string(),
  sync: z.string(),
  kafka: z.string(),
  registry: z.string(),
  fastaaps: z.string(),
  /** user:password */
  fastaapsAuth: z.string(),
});

type Endpoints = z.output<typeof endpoints>;

/**
 * The environment, with the embedded stack's endpoints added where it names none and the file is there.
 * @throws where the file is there and is not what the stack writes
 */
export function withDevEndpoints(env: Environment, path = DEV_ENDPOINTS_FILE): Environment {
  const named = ENDPOINT_VARIABLES.some((name) => env[name] || env[fileVariable(name)]);
  if (named) return env;
  const text = readIfThere(path);
  if (text === undefined) return env;
  const found = endpoints.safeParse(parseJson(text));
  if (!found.success) {
    throw new Error(`${path} is not what npm start writes (${z.prettifyError(found.error)}): start it again`);
  }
  return { ...env, ...variablesOf(found.data) };
}

function variablesOf(found: Endpoints): Record<string, string> {
  const [user, ...password] = found.fastaapsAuth.split(':');
  const registry = new URL(found.registry);
  if (registry.pathname === '/') registry.pathname = CONFLUENT_API;
  return {
    SIIRAYS_URL: found.siirays,
    SIIRAYS_READ_URL: throughBouncer(found.siirays, found.pgbouncer),
    SYNC_URL: found.sync,
    KAFKA_BROKERS: found.kafka,
    REGISTRY_URL: registry.href,
    FASTAAPS_URL: found.fastaaps,
    FASTAAPS_USERNAME: user ?? '',
    FASTAAPS_PASSWORD: password.join(':'),
  };
}

/** PgBouncer as a whole URL, or as host:port in front of the same database. */
function throughBouncer(siirays: string, bouncer: string): string {
  if (bouncer.includes('://')) return bouncer;
  const url = new URL(siirays);
  url.host = bouncer;
  return url.href;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: the check that follows says so with the file's name.
    return undefined;
  }
}
