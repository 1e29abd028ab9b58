import { setTimeout as sleep } from 'node:timers/promises';
import type { RetryConfig } from '../config/types.ts';
import { explainError } from '../observability/explain-error.ts';
import type { ProcessContext } from '../observability/process-context.ts';
import { createBackoff } from '../retry/backoff.ts';

/**
 * Opens what needs `sync`, again and again until it can be had; null where the process is asked to end first.
 * @throws what does not pass by itself: mistakes of a connector or of the configuration
 */
export async function connectWhenUp<T>(
  open: () => Promise<T>,
  { retry }: { retry: RetryConfig },
  { log, health, signal }: Pick<ProcessContext, 'log' | 'health' | 'signal'>,
): Promise<T | null> {
  const backoff = createBackoff(retry);
  while (!signal.aborted) {
    try {
      return await open();
    } catch (error) {
      if (error instanceof Error && (error.name === 'ConnectorError' || error.name === 'ConfigurationError'))
        throw error;
      const retryMs = backoff.next();
      const reason = explainError(error);
      health.ready('reconciler', false, reason);
      log.error({ event: 'reconciler_waits', err: error, retryMs }, `the reconciler cannot start yet: ${reason}`);
      await sleep(retryMs, undefined, { signal }).catch(() => undefined);
    }
  }
  return null;
}
