import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { SchemaSink } from '../kafka/registry.ts';

/** How often the registry is asked: two small requests. */
const LOOK_MS = 5_000;

/**
 * Looks whether the registry still holds what this producer has registered, until the signal comes. Readers that start
 * anew would wait for it in vain, and a lost registry gives other ids: so the pipeline has to start again, which registers
 * everything. A registry that does not answer is no loss: streaming does not need it.
 * @throws where it was emptied or restored from a backup
 */
export async function watchRegistry(
  registry: Pick<SchemaSink, 'lost'>,
  log: Logger,
  signal: AbortSignal,
  everyMs: number = LOOK_MS,
): Promise<void> {
  while (!signal.aborted) {
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const lost = await registry.lost().catch((error: unknown) => {
      log.debug({ event: 'registry_not_seen', err: error }, 'the schema registry does not answer');
      return [];
    });
    if (lost.length > 0) {
      throw new Error(
        `the schema registry no longer holds ${lost.length} subjects, ${lost[0]} among them: it was emptied or restored, and all schemas are registered again`,
      );
    }
  }
}
