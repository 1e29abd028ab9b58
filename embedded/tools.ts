import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The checkout's root folder. */
export const ROOT = dirname(import.meta.dirname);

/** Where the parts are that are no npm packages; found or brought by embedded/bootstrap.js. */
export interface Tools {
  /** The program `java`, version 21 or later. */
  java: string;
  /** The folder with the Kafka broker's jars. */
  kafka: string;
  /** The folder with Apicurio Registry's quarkus-run.jar. */
  registry: string;
  /** The program `pgbouncer`. */
  pgbouncer: string;
}

const FOUND = join(ROOT, 'node_modules', '.siirays-sync-tools.json');

/** What the set-up found. Fails with the command that does the set-up, where it was not run. */
export function findTools(): Tools {
  if (!existsSync(FOUND)) throw new Error('The set-up is incomplete. Run: node embedded/bootstrap.js setup');
  return JSON.parse(readFileSync(FOUND, 'utf8')) as Tools;
}
