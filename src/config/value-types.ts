/**
 * The kinds of values that variables hold. Each schema's error message says what is expected and never repeats the
 * value, since the value may be a secret.
 */
import { readFileSync } from 'node:fs';
import pg from 'pg';
import { z } from 'zod';
import { parseSchedule } from '../reconciler/schedule/schedule.ts';

type FromText<T> = z.ZodType<T, string>;

/** Makes a schema from a function that gives the value or undefined, and the words for what was expected. */
function reading<T>(expected: string, read: (text: string) => T | undefined): FromText<T> {
  return z.string().transform((text, context) => {
    const value = read(text);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });
}

/** Any text that is not empty. */
export const text: FromText<string> = z.string();

export const boolean: FromText<boolean> = reading('true or false', (given) => {
  if (given === 'true') return true;
  return given === 'false' ? false : undefined;
});

/** One of a few words, capitals or not. */
export function oneOf<const Word extends string>(words: readonly Word[]): FromText<Word> {
  const list = `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
  return reading(list, (given) => words.find((word) => word === given.toLowerCase()));
}

/** Text that must match a pattern; `expected` says it in words. */
export function matching(pattern: RegExp, expected: string): FromText<string> {
  return reading(expected, (given) => (pattern.test(given) ? given : undefined));
}

/** A cron expression as parseSchedule reads it, or null for `off`. */
export const cron: FromText<string | null> = reading(
  'cron (minute hour day month weekday) such as */15 * * * *, or off',
  (given) => {
    try {
      return parseSchedule(given, 'UTC')?.cron ?? null;
    } catch {
      return undefined;
    }
  },
);

/** A name of the IANA time zone database that this Node knows. */
export const timeZone: FromText<string> = reading('a time zone such as America/La_Paz or UTC', (given) => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: given }).resolvedOptions().timeZone;
  } catch {
    return undefined;
  }
});

/** Comma-separated host:port; an IPv6 address stands in brackets. */
export const brokers: FromText<string[]> = reading(
  'host:port, several with commas, such as kafka1:9092,kafka2:9092',
  (given) => {
    const list = given.split(',').map((entry) => entry.trim());
    return list.every(isHostAndPort) ? list : undefined;
  },
);

function isHostAndPort(entry: string): boolean {
  const match = /^(?:\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(entry);
  return match !== null && Number(match[1]) >= 1 && Number(match[1]) <= 65_535;
}

/** An http:// or https:// address without user, password, query or fragment; no slash at its end in the result. */
export const httpUrl: FromText<string> = reading(
  'an address such as https://host:8080, its user and password in variables of their own',
  (given) => {
    const url = URL.canParse(given) ? new URL(given) : undefined;
    if (!url || !/^https?:$/.test(url.protocol)) return undefined;
    if (url.username || url.password || url.search || url.hash) return undefined;
    return url.href.replace(/\/+$/, '');
  },
);

const POSTGRES_URL =
  'postgres://user:password@host:port/database, special characters of the password percent-encoded; TLS by ' +
  '?sslmode=verify-full&sslrootcert=/path/ca.pem';

const SSL_MODES = ['disable', 'no-verify', 'prefer', 'require', 'verify-ca', 'verify-full'];

/**
 * A PostgreSQL connection URL (PostgreSQL manual, 34.1.1.2) as the driver reads it, user and database named. What the
 * driver refuses is refused here, with the files of sslrootcert, sslcert and sslkey, which it reads at once.
 */
export const postgresUrl: FromText<string> = z.string().transform((given, context) => {
  const problem = postgresUrlProblem(given);
  if (problem === undefined) return given;
  context.addIssue({ code: 'custom', message: problem });
  return z.NEVER;
});

function postgresUrlProblem(given: string): string | undefined {
  if (!/^postgres(ql)?:\/\//.test(given) || !URL.canParse(given)) return POSTGRES_URL;
  const url = new URL(given);
  const user = url.username || url.searchParams.get('user');
  const host = url.hostname || url.searchParams.get('host');
  if (!user || !host || url.pathname.length < 2) return POSTGRES_URL;
  const mode = url.searchParams.get('sslmode');
  if (mode !== null && !SSL_MODES.includes(mode)) return `sslmode to be one of ${SSL_MODES.join(', ')}`;
  for (const name of ['sslrootcert', 'sslcert', 'sslkey']) {
    const path = url.searchParams.get(name);
    const reason = path === null ? undefined : unreadable(path);
    if (reason) return `${name} to be the path of a readable file (${reason})`;
  }
  try {
    new pg.Client({ connectionString: given });
    return undefined;
  } catch {
    // The driver's message may quote the URL, and with it the password.
    return POSTGRES_URL;
  }
}

/** Why a file cannot be read (ENOENT, EACCES ...), or undefined where it can. */
export function unreadable(path: string): string | undefined {
  try {
    readFileSync(path);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unreadable';
  }
}

/** The path of a readable file. */
export const readableFile: FromText<string> = z.string().transform((path, context) => {
  const reason = unreadable(path);
  if (!reason) return path;
  context.addIssue({ code: 'custom', message: `the path of a readable file (${reason})` });
  return z.NEVER;
});

/** A file in PEM form that holds a block of the kind given; `whole` checks it further. The result is the text. */
export function pemFile(block: 'CERTIFICATE' | 'PRIVATE KEY', parse: (pem: string) => unknown): FromText<string> {
  return z.string().transform((path, context) => {
    const refuse = (reason: string) => {
      context.addIssue({ code: 'custom', message: `the path of a file in PEM form with a ${block} (${reason})` });
      return z.NEVER;
    };
    const reason = unreadable(path);
    if (reason) return refuse(reason);
    const pem = readFileSync(path, 'utf8');
    if (!new RegExp(`-----BEGIN [A-Z ]*${block}-----`).test(pem)) return refuse('no such block in it');
    try {
      parse(pem);
    } catch (error) {
      return refuse(`cannot be parsed: ${(error as NodeJS.ErrnoException).code ?? 'malformed'}`);
    }
    return pem;
  });
}
