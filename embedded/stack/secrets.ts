import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeJson } from './atomic-file.ts';

/** Passwords: of database roles, of the superuser of both servers, and of HTTP users. */
export interface Secrets {
  superuser: string;
  siirays: string;
  siirays_sync: string;
  sync: string;
  fastaaps: string;
  registry: string;
  fastaapsHttp: string;
  metrics: string;
  operator: string;
  viewer: string;
}

const NAMES = [
  'superuser',
  'siirays',
  'siirays_sync',
  'sync',
  'fastaaps',
  'registry',
  'fastaapsHttp',
  'metrics',
  'operator',
  'viewer',
] as const satisfies (keyof Secrets)[];

/** The state folder's passwords: random, made once, kept in a file that only its owner reads. */
export function keepSecrets(dir: string): Secrets {
  const file = join(dir, 'secrets.json');
  const kept: Partial<Secrets> = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  const secrets = Object.fromEntries(NAMES.map((name) => [name, kept[name] ?? randomBytes(18).toString('base64url')]));
  writeJson(file, secrets, 0o600);
  return secrets as unknown as Secrets;
}
