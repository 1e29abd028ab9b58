import { DEFAULT_MAX_LINE_BYTES } from './service.ts';

export interface Settings {
  databaseUrl: string;
  host: string;
  port: number;
  username: string;
  password: string;
  token?: string;
  connectorsDir: string;
  maxLineBytes: number;
  maxRequestBytes?: number;
  logLevel: string;
}

/** Reads the environment; throws one error that names everything that is missing or wrong. */
export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const wrong: string[] = [];
  const text = (name: string, fallback?: string): string => {
    const value = env[name] || fallback;
    if (value === undefined) wrong.push(`${name} is missing`);
    return value ?? '';
  };
  const number = (name: string, fallback?: number): number | undefined => {
    const value = env[name];
    if (!value) return fallback;
    if (!/^\d{1,15}$/.test(value)) wrong.push(`${name} must be a whole number`);
    return Number(value);
  };
  const settings = {
    databaseUrl: text('FASTAAPS_DATABASE_URL'),
    host: text('HTTP_HOST', '127.0.0.1'),
    port: number('HTTP_PORT', 8080) ?? 8080,
    username: text('FASTAAPS_USERNAME'),
    password: text('FASTAAPS_PASSWORD'),
    token: env.FASTAAPS_TOKEN || undefined,
    connectorsDir: text('FASTAAPS_CONNECTORS_DIR', 'connectors'),
    maxLineBytes: number('FASTAAPS_MAX_LINE_BYTES', DEFAULT_MAX_LINE_BYTES) ?? DEFAULT_MAX_LINE_BYTES,
    maxRequestBytes: number('FASTAAPS_MAX_REQUEST_BYTES'),
    logLevel: text('LOG_LEVEL', 'info'),
  };
  if (wrong.length > 0) throw new Error(`wrong settings: ${wrong.join('; ')}`);
  return settings;
}
