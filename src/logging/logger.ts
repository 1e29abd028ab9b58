/**
 * Logs are one JSON object per line (pino) with a stable `event` name, so that alerts match names and not prose:
 * `log.info({ event: 'batch_applied', lsn, transactions }, 'text')`. Row contents never belong in a log.
 */
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';
import { redactUrls } from './redact.ts';

export type { Logger } from 'pino';

/** Keys whose values are replaced wherever they stand, up to two levels deep (and in arrays). */
const SECRET_KEYS = [
  'password',
  'pass',
  'token',
  'secret',
  'authorization',
  'metricsPassword',
  'key',
  'connectionString',
  'sasl',
];

export interface LoggerOptions {
  /** The process: `producer`, `consumer`. */
  name: string;
  level: string;
  /** Default: standard output. */
  destination?: DestinationStream;
}

/**
 * A pino logger: level as text, ISO 8601 time, errors under `err` with stack, PostgreSQL code and detail-free
 * message. Secrets are removed by key, and the password of any URL by pattern, error messages included.
 */
export function createLogger({ name, level, destination }: LoggerOptions): Logger {
  return pino(
    {
      name,
      level,
      base: { pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: serializeError, error: serializeError },
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]), censor: '[redacted]' },
      hooks: { streamWrite: redactUrls },
    },
    destination ?? pino.destination(1),
  );
}

/**
 * The fields of an error that are safe to log. PostgreSQL puts row contents into `detail` and `where` ("Key
 * (id)=(1) already exists", "unnamed portal parameter $1 = '...'"), therefore only these are taken.
 */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const hide = hasValueInMessage(error) ? hideQuoted : (text: string) => text;
  const known = error as Error & { code?: unknown; table?: unknown; column?: unknown; constraint?: unknown };
  return {
    type: error.constructor.name,
    message: hide(error.message),
    stack: hide(error.stack ?? ''),
    code: known.code,
    table: known.table,
    column: known.column,
    constraint: known.constraint,
    cause: error.cause instanceof Error ? serializeError(error.cause) : undefined,
    // Node's connection attempts to several addresses end with one error without a message that holds them all.
    errors: error instanceof AggregateError ? error.errors.map(serializeError) : undefined,
  };
}

/** An error's message without the value of a row that PostgreSQL may quote in it. */
export function messageWithoutValues(error: Error): string {
  return hasValueInMessage(error) ? hideQuoted(error.message) : error.message;
}

/**
 * Errors of class 22, Data Exception, quote the value: `invalid input syntax for type integer: "abc"`
 * (PostgreSQL manual, Appendix A).
 */
function hasValueInMessage(error: Error): boolean {
  const { code } = error as Error & { code?: unknown };
  return typeof code === 'string' && /^22[0-9A-Z]{3}$/.test(code);
}

function hideQuoted(text: string): string {
  return text.replace(/".*"/gs, '"[value]"');
}
