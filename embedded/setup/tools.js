import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram, installDebianPackages } from './debian.js';
import { findJava } from './java.js';
import { apicurioRegistry, isMavenNeeded, kafkaLibraries } from './maven.js';
import { step } from './step.js';

/** Where the parts that are no npm packages were found; `npm ci` forgets it, and they are looked for again. */
const FOUND = 'node_modules/.siirays-sync-tools.json';

/** Programs and the Debian packages that have them. */
const DEBIAN = { mvn: 'maven', pgbouncer: 'pgbouncer', 'docker-compose': 'docker-compose' };

/**
 * Brings Java, the Kafka broker, Apicurio Registry and PgBouncer, and notes where they are.
 * @param {string} root the checkout
 * @param {string[]} more programs that the tests want besides
 */
export async function findTools(root, more) {
  const file = join(root, FOUND);
  const programs = ['pgbouncer', ...more];
  if (areThere(file, programs)) return;
  await installPrograms(isMavenNeeded() ? ['mvn', ...programs] : programs);
  const java = await findJava();
  const kafka = await kafkaLibraries(java);
  const registry = await apicurioRegistry(java);
  const found = Object.fromEntries(programs.map((program) => [program, findProgram(program)]));
  const unfinished = `${file}.${process.pid}`;
  writeFileSync(unfinished, `${JSON.stringify({ java, kafka, registry, ...found }, null, 2)}\n`);
  renameSync(unfinished, file);
}

async function installPrograms(programs) {
  const packages = programs.filter((program) => !findProgram(program)).map((program) => DEBIAN[program]);
  if (packages.length === 0) return;
  await step(`${packages.join(', ')} through apt-get`, () => installDebianPackages(packages));
}

function areThere(file, programs) {
  if (!existsSync(file)) return false;
  const tools = JSON.parse(readFileSync(file, 'utf8'));
  return programs.every((program) => tools[program]) && Object.values(tools).every((path) => existsSync(path));
}
