/** kill -9 in the middle of traffic: nothing lost, nothing doubled, nothing half. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { describe, test } from 'node:test';
import { runTraffic } from '../../embedded/siirays/traffic.ts';
import type { PartName } from '../../embedded/stack/names.ts';
import { CommittedWitness } from '../support/committed-witness.ts';
import { RunningPipeline } from '../support/running-pipeline.ts';
import { until } from '../support/until.ts';

const pipeline = await RunningPipeline.start({ epsas: 200 });
const { stack } = pipeline;

/** Killed in this order, one at a time and two at once, each while transactions come. */
const KILLS: PartName[][] = [
  ['producer'],
  ['consumer'],
  ['producer', 'consumer'],
  ['kafka'],
  ['fastaaps'],
  ['producer'],
  ['kafka', 'consumer'],
  ['postgres'],
  ['consumer'],
];

describe('kill -9 in the middle of traffic', { timeout: 280_000 }, () => {
  test('ends with every document, every row, and every transaction in the topics exactly once', async () => {
    const witness = await CommittedWitness.start(pipeline);
    const ending = new AbortController();
    const traffic = runTraffic({ url: stack.endpoints.siirays, rate: 60, seed: 11 }, ending.signal);
    for (const parts of KILLS) {
      const { seq } = await pipeline.answerWhenUp();
      for (const part of parts) stack.kill(part, 'SIGKILL');
      await until(
        async () => (await pipeline.answerWhenUp()).seq > seq + BigInt(randomInt(5, 60)),
        `the stream to go on after ${parts}`,
        60_000,
      );
    }
    ending.abort();
    const { committed } = await traffic;
    assert.ok(committed > 200, `${committed} transactions were committed`);
    await pipeline.assertEqual('after the kills', 90_000);

    await witness.assertSame();
    await witness.end();
  });
});
