import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, installDebianPackages } from './debian.js';
import { findJava } from './java.js';
import { apicurioRegistry, kafkaLibraries } from './maven.js';
import { step } from './step.js';

/** Where the parts that are no npm packages were found; `npm ci` forgets it, and they are looked for again. */
const FOUND = 'node_modules/.siirays-sync-tools.json';

const DEBIAN = { mvn: 'maven', pgbouncer: 'pgbouncer' };

/** Brings Java, the Kafka broker, Apicurio Registry and PgBouncer, and notes where they are. */
export async function findTools(root) {
  const file = join(root, FOUND);
  if (areThere(file)) return;
  const missing = Object.keys(DEBIAN).filter((program) => !findProgram(program));
  if (missing.length > 0) {
    const packages = missing.map((program) => DEBIAN[program]);
    await step(`${packages.join(', ')} through apt-get`, () => installDebianPackages(packages));
  }
  const java = await findJava();
  const kafka = await kafkaLibraries(java);
  const registry = await apicurioRegistry(java);
  const tools = { java, kafka, registry, pgbouncer: findProgram('pgbouncer') };
  const unfinished = `${file}.${process.pid}`;
  writeFileSync(unfinished, `${JSON.stringify(tools, null, 2)}\n`);
  renameSync(unfinished, file);
}

function areThere(file) {
  if (!existsSync(file)) return false;
  const tools = JSON.parse(readFileSync(file, 'utf8'));
  return Object.values(tools).every((path) => existsSync(path));
}
