import { join, relative } from 'node:path';
import type { PartChange } from '../part.ts';
import type { FirstLoad } from '../stack/first-load.ts';
import type { PartName } from '../stack/names.ts';
import type { Stack } from '../stack.ts';

const MEANINGS: Record<PartName, string> = {
  siirays: 'PostgreSQL: SIIRAyS (siirays2019)',
  postgres: 'PostgreSQL: sync, fastaaps, registry',
  kafka: 'Kafka broker',
  registry: 'Apicurio schema registry',
  pgbouncer: 'PgBouncer in front of SIIRAyS',
  fastaaps: 'reference FASTAAPS service',
  producer: 'producer (health, metrics)',
  consumer: 'consumer (health, metrics)',
  reconciler: 'reconciler (HTTP API)',
  traffic: "SIIRAyS's users",
};

/** What runs where: one line a part. */
export function describeStack(stack: Stack, dir: string): string {
  const lines = (Object.keys(MEANINGS) as PartName[]).flatMap((name) => {
    const pid = stack.pid(name);
    if (pid === undefined) return [];
    const address = name === 'traffic' ? '' : `127.0.0.1:${stack.ports[name]}`;
    return [`  ${name.padEnd(10)} ${address.padEnd(16)} ${MEANINGS[name].padEnd(38)} process ${pid}`];
  });
  const sample = stack.sampleRows === undefined ? 'SIIRAyS is as it was' : `${count(stack.sampleRows)} rows in SIIRAyS`;
  const folder = relative(process.cwd(), dir) || '.';
  return [...lines, `${sample}; logs are in ${join(folder, 'logs')}; waiting for the first load ...`].join('\n');
}

/** The first load's size and time. */
export function describeFirstLoad({ documents, bytes }: FirstLoad, sinceStartMs: number): string {
  const size = `${count(documents)} documents, ${(bytes / 1e6).toFixed(1)} MB`;
  return `FASTAAPS holds ${size}, ${(sinceStartMs / 1000).toFixed(1)} s after the start; endpoints.json is written`;
}

/** A line for a part that ended by itself, or that does not come back; nothing for the ordinary. */
export function describeChange(change: PartChange): string | undefined {
  if (change.event === 'late') return change.reason;
  if (change.event !== 'ended') return undefined;
  const again = change.againInMs === 0 ? 'at once' : `in ${change.againInMs / 1000} s`;
  return `${change.name} ${change.how}; it is started again ${again}`;
}

function count(n: number): string {
  return n.toLocaleString('en-US');
}
