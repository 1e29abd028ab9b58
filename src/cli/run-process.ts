/** The life of a process: configuration, log, health and metrics, its run function, and an orderly end. */
import { configurationWarnings } from '../config/config.ts';
import type { Environment } from '../config/read-variables.ts';
import type { ProcessConfig } from '../config/types.ts';
import { createLogger, type Logger, messageWithoutValues } from '../logging/logger.ts';
import { createHealth } from '../observability/health.ts';
import { startHealthServer } from '../observability/health-server.ts';
import { createMetrics, registerHealthMetrics } from '../observability/metrics.ts';
import type { ProcessContext } from '../observability/process-context.ts';
import { withDevEndpoints } from './dev-endpoints.ts';
import { EXIT } from './exit-codes.ts';

const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 };

/** Imports and gives the run function; late, so that one process does not load another's code. */
export type RunFunction<Config> = () => Promise<(config: Config, context: ProcessContext) => Promise<void>>;

/**
 * Runs a process until it is asked to end (SIGTERM, SIGINT) or fails.
 * @returns the exit code
 * @throws ConfigurationError before anything was started
 */
export async function runProcess<Config extends ProcessConfig>(
  name: string,
  loadConfig: (env: Environment) => Config,
  loadRun: RunFunction<Config>,
): Promise<number> {
  const env = withDevEndpoints(process.env);
  const config = loadConfig(env);
  const log = createLogger({ name, level: config.logLevel });
  for (const warning of configurationWarnings(env)) log.warn({ event: 'configuration_warning' }, warning);

  const ending = new AbortController();
  abortOnSignals(ending, log);
  logLastWords(log);
  const health = createHealth({
    onChange: (part, { ok, reason }) => {
      if (ok) log.info({ event: 'part_ready', part }, `${part} is ready`);
      else log.warn({ event: 'part_not_ready', part, reason }, `${part} is not ready: ${reason}`);
    },
  });
  const metrics = createMetrics(name);
  registerHealthMetrics(metrics, health);

  try {
    const server = await startHealthServer({ http: config.http, health, metrics });
    log.info({ event: 'http_listening', host: config.http.host, port: server.port }, 'health and metrics are served');
    log.info({ event: 'process_started', instanceId: config.instanceId }, `${name} started`);
    try {
      const run = await loadRun();
      await run(config, { log, health, metrics, signal: ending.signal });
    } finally {
      await server.close();
    }
    if (!ending.signal.aborted) throw new Error(`${name} ended without being asked to`);
    log.info({ event: 'process_ended' }, `${name} ended as asked`);
    return EXIT.ok;
  } catch (error) {
    if (ending.signal.aborted && isAbort(error)) {
      log.info({ event: 'process_ended' }, `${name} ended as asked`);
      return EXIT.ok;
    }
    log.fatal({ event: 'process_failed', err: error }, `${name} failed: ${messageOf(error)}`);
    return isLastingMistake(error) ? EXIT.configuration : EXIT.failed;
  }
}

/** The first signal asks for an orderly end; a second one ends the process at once. */
function abortOnSignals(ending: AbortController, log: Logger): void {
  for (const [signal, number] of Object.entries(SIGNAL_NUMBERS)) {
    process.on(signal, () => {
      if (ending.signal.aborted) process.exit(128 + number);
      log.info({ event: 'process_ending', signal }, `${signal}: ending`);
      ending.abort();
    });
  }
}

/**
 * An error that nobody caught ends the process, as Node would, but through the log and its redaction: Node's own
 * output would show whatever PostgreSQL says of a row.
 */
function logLastWords(log: Logger): void {
  process.on('uncaughtException', (error) => {
    log.fatal({ event: 'process_crashed', err: error }, `an error that nobody caught: ${messageOf(error)}`);
    process.exit(EXIT.failed);
  });
}

/** Errors that name mistakes of a configuration or a connector; both carry every mistake in their message. */
export function isLastingMistake(error: unknown): error is Error {
  return error instanceof Error && (error.name === 'ConfigurationError' || error.name === 'ConnectorError');
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? messageWithoutValues(error) : String(error);
}
