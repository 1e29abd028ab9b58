import assert from 'node:assert/strict';
import { runTraffic } from '../../embedded/siirays/traffic.ts';
import type { RunningPipeline } from '../support/running-pipeline.ts';
import { until } from '../support/until.ts';
import { ReconcilerClient } from './reconciler-client.ts';

/** What the runs came to. */
export interface Verified {
  runs: number;
  states: Record<string, number>;
}

/**
 * Verifies without a pause while SIIRAyS is changed 50 times a second, deliveries stand still and the consumer is killed
 * now and then; nothing is wrong, so that nothing but dead letters may be found.
 * @param enough whether these runs suffice
 */
export async function verifyUnderTraffic(
  pipeline: RunningPipeline,
  enough: (verified: Verified) => boolean,
): Promise<Verified> {
  const { stack } = pipeline;
  const client = new ReconcilerClient(stack.endpoints);
  const ending = new AbortController();
  const traffic = runTraffic({ url: stack.endpoints.siirays, rate: 50 }, ending.signal);
  const disturbing = disturb(pipeline, ending.signal);
  const verified: Verified = { runs: 0, states: {} };
  try {
    while (!enough(verified)) {
      const run = await client.reconcile({ mode: 'verify', direct: verified.runs % 4 === 3 });
      verified.runs += 1;
      verified.states[run.state] = (verified.states[run.state] ?? 0) + 1;
      const false_ = run.differences.filter(({ kind }) => kind !== 'dead_letter');
      assert.deepEqual(false_, [], `run ${run.id}: nothing is wrong`);
      assert.equal(run.error, null);
    }
  } finally {
    ending.abort();
    await Promise.all([traffic, disturbing]);
  }
  return verified;
}

/** Stops FASTAAPS's process for a moment, or kills the consumer, in turns. */
async function disturb({ stack }: RunningPipeline, signal: AbortSignal): Promise<void> {
  for (let turn = 0; !signal.aborted; turn++) {
    const since = performance.now();
    await until(() => signal.aborted || performance.now() - since > 1_500, 'the next disturbance');
    if (signal.aborted) return;
    if (turn % 3 === 2) {
      const pid = stack.pid('consumer');
      stack.kill('consumer', 'SIGKILL');
      await until(() => stack.pid('consumer') !== pid && stack.pid('consumer') !== undefined, 'the next consumer');
      continue;
    }
    stack.kill('fastaaps', 'SIGSTOP');
    const stopped = performance.now();
    await until(() => performance.now() - stopped > 700, 'a delayed delivery');
    stack.kill('fastaaps', 'SIGCONT');
  }
}
