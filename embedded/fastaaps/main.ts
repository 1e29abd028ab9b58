/**
 * The reference FASTAAPS service as a process. Settings: FASTAAPS_DATABASE_URL, HTTP_HOST, HTTP_PORT,
 * FASTAAPS_USERNAME, FASTAAPS_PASSWORD, FASTAAPS_TOKEN, FASTAAPS_CONNECTORS_DIR, FASTAAPS_MAX_LINE_BYTES,
 * FASTAAPS_MAX_REQUEST_BYTES, LOG_LEVEL; `--like-today` for just what exists today.
 */
import { parseArgs } from 'node:util';
import { loadConnectors } from '../../src/connector/load.ts';
import { createLogger } from '../../src/logging/logger.ts';
import { modelsOf } from './model.ts';
import { startService } from './service.ts';
import { readSettings } from './settings.ts';

const { values: flags } = parseArgs({ options: { 'like-today': { type: 'boolean', default: false } } });
const settings = readSettings(process.env);
const log = createLogger({ name: 'fastaaps', level: settings.logLevel });
const service = await startService({
  databaseUrl: settings.databaseUrl,
  host: settings.host,
  port: settings.port,
  credentials: { username: settings.username, password: settings.password, token: settings.token },
  models: modelsOf(loadConnectors(settings.connectorsDir)),
  log,
  likeToday: flags['like-today'],
  limits: { maxLineBytes: settings.maxLineBytes, maxRequestBytes: settings.maxRequestBytes },
});

let stopping = false;
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (stopping) return;
    stopping = true;
    log.info({ event: 'stopping', signal }, 'stopping');
    service.close().catch((error: unknown) => {
      log.error({ event: 'stop_failed', err: error }, 'stopping failed');
      process.exitCode = 1;
    });
  });
}
