import pg from 'pg';

/**
 * The settings that the text of a value depends on, pinned in every session on SIIRAyS. Measured: with the database's
 * DateStyle=SQL, DMY and extra_float_digits=0, pgoutput sends 24/02/2010, and 0.1+0.2 as 0.3.
 */
export const VALUE_SETTINGS: Readonly<Record<string, string>> = {
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  extra_float_digits: '1',
  bytea_output: 'hex',
  lc_monetary: 'C',
  xmloption: 'content',
  // Keys that hold arrays are read back, with their NULL elements.
  array_nulls: 'on',
  // Else format_type() writes a type's name in another way.
  quote_all_identifiers: 'off',
};

/**
 * The same for our sessions on SIIRAyS, where format_type() and the reg* types leave out a schema that is on the role's
 * search_path: a type would have another name, and a regclass another text, in a session that finds another path.
 */
export const SOURCE_SETTINGS: Readonly<Record<string, string>> = { ...VALUE_SETTINGS, search_path: 'pg_catalog' };

/** Start-up option string (`-c name=value …`) of the settings; spaces are escaped as libpq's `options` wants them. */
export function startupOptions(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value.replaceAll('\\', '\\\\').replaceAll(' ', '\\ ')}`)
    .join(' ');
}

/** `SET LOCAL` statements of the settings: what works through a pooler that allows no start-up parameters. */
export function setLocal(settings: Readonly<Record<string, string>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `SET LOCAL ${name} = '${value.replaceAll("'", "''")}'`)
    .join('; ');
}

/** Makes pg hand out every value as PostgreSQL's text: nothing is parsed, so nothing is rounded or reformatted. */
export const TEXT_VALUES: pg.CustomTypesConfig = {
  getTypeParser: () => (value: string | Buffer) => value as string,
};

/** A peer that vanished without a word is noticed within a minute or so (tcp(7), "TCP_KEEPINTVL"), not after two hours. */
const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelayMillis: 10_000 };

/**
 * A connected client. `error` events of an idle connection (the server went away) are kept for the next query, which
 * fails by itself; without a listener they would end the process.
 */
export async function connect(config: pg.ClientConfig): Promise<pg.Client> {
  const client = new pg.Client({ connectionTimeoutMillis: 5_000, ...KEEP_ALIVE, ...config });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

/** Ends a connection without waiting for a peer that may be gone, and without an error for one that is. */
export async function disconnect(client: pg.Client): Promise<void> {
  const { promise: waited, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, 1_000);
  await Promise.race([client.end().catch(() => undefined), waited]);
  clearTimeout(timer);
}
