/** The long form of the test under traffic: ten minutes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RunningPipeline } from '../support/running-pipeline.ts';
import { verifyUnderTraffic } from './no-false-difference.ts';

const MINUTES = 10;
const reconciler = {
  RECONCILE_SCHEDULE: 'off',
  RECONCILE_DIRECT_SCHEDULE: 'off',
  RECONCILE_SIIRAYS_SHARE: '100',
  RETRY_MAX: '500ms',
};
const settings = { reconciler, consumer: { RETRY_MAX: '500ms' } };
const pipeline = await RunningPipeline.start({ without: [], epsas: 1_000, settings });

test(`verifying for ${MINUTES} minutes finds no false difference`, { timeout: 20 * 60_000 }, async (context) => {
  const started = performance.now();
  const { runs, states } = await verifyUnderTraffic(pipeline, () => performance.now() - started > MINUTES * 60_000);
  context.diagnostic(`${runs} runs: ${JSON.stringify(states)}`);
  assert.ok(runs > 20);
  await pipeline.assertEqual('after the traffic');
});
