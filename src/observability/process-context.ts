import type { Registry } from 'prom-client';
import type { Logger } from '../logging/logger.ts';
import type { Health } from './health.ts';

/** What the command line gives to the run function of a process, beside its configuration. */
export interface ProcessContext {
  log: Logger;
  health: Health;
  /** Where the process's parts register their metrics. */
  metrics: Registry;
  /** Aborted when the process is asked to end; the run function then resolves within seconds. */
  signal: AbortSignal;
}
