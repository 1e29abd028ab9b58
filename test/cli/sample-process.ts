/**
 * A process around a run function of the tests: `orderly` ends when asked, `deaf` never does, `early` ends by itself,
 * `failing` throws, `stray` leaves a rejected promise behind.
 */
import { once } from 'node:events';
import { runProcess } from '../../src/cli/run-process.ts';
import { loadProducerConfig } from '../../src/config/config.ts';
import type { ProducerConfig } from '../../src/config/types.ts';
import type { ProcessContext } from '../../src/observability/process-context.ts';

const KINDS: Record<string, (context: ProcessContext) => Promise<void>> = {
  orderly: async ({ signal, health }) => {
    health.ready('kafka', true);
    await once(signal, 'abort');
  },
  deaf: ({ health }) => {
    health.ready('kafka', true);
    setInterval(() => health.live(), 1000);
    return new Promise(() => undefined);
  },
  early: async () => undefined,
  failing: async () => {
    throw new Error('cannot reach postgres://u:s3cret@db/x');
  },
  stray: ({ signal }) => {
    Promise.reject(new Error('nobody waits for this'));
    return once(signal, 'abort').then(() => undefined);
  },
};

const run = KINDS[process.argv[2] ?? '']!;
const load = async () => (_config: ProducerConfig, context: ProcessContext) => run(context);
process.exit(await runProcess('sample', loadProducerConfig, load));
