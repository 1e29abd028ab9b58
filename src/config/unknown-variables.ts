import { editDistance, nearestName } from './nearest-name.ts';
import type { Environment } from './read-variables.ts';
import { fileVariable } from './variable.ts';
import { ALL_VARIABLES } from './variables.ts';

/** What our variables start with: a name of this kind that nobody knows is most likely a slip. */
const PREFIXES = [
  'SIIRAYS_',
  'SYNC_',
  'KAFKA_',
  'REGISTRY_',
  'FASTAAPS_',
  'CONNECTOR',
  'SNAPSHOT_',
  'WRITER_',
  'CONSUMER_',
  'PROJECT_',
  'LEASE_',
  'RESTORE_',
  'RETRY_',
  'HTTP_',
  'METRICS_',
  'INSTANCE_',
];

/** Names of other programs that start like ours. */
const OF_OTHERS = new Set(['HTTP_PROXY', 'KAFKA_HOME', 'KAFKA_OPTS', 'KAFKA_HEAP_OPTS', 'KAFKA_VERSION']);

/** Kubernetes announces every service of a namespace by such variables. */
const SERVICE_LINK = /_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP)(_\w+)?$/;

/** Every name that the program reads, NAME_FILE of secrets included. */
export function knownVariables(): string[] {
  return Object.entries(ALL_VARIABLES).flatMap(([name, { secret }]) => (secret ? [name, fileVariable(name)] : [name]));
}

/**
 * A warning for each variable that looks like one of ours and is none: by its prefix, or by differing from a known
 * name in a letter or two (KAKFA_BROKERS).
 */
export function unknownVariables(env: Environment): string[] {
  const known = knownVariables();
  const warnings: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (!value || known.includes(name) || OF_OTHERS.has(name) || SERVICE_LINK.test(name)) continue;
    const nearest = nearestName(name, known);
    const ours = PREFIXES.some((prefix) => name.startsWith(prefix));
    const slip = nearest !== undefined && nearest.length >= 8 && editDistance(name, nearest) <= 2;
    if (!ours && !slip) continue;
    warnings.push(`${name} is not a variable of this program${nearest ? `; did you mean ${nearest}?` : ''}`);
  }
  return warnings;
}
