/**
 * FASTAAPS slow or silent in the middle of a run: the run ends failed with its reason, or goes on after; nothing is half, and
 * a second run proves equality.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { startProxy, type Treatment } from '../fastaaps/proxy.ts';
import { RunningPipeline } from '../support/running-pipeline.ts';
import { until } from '../support/until.ts';
import { assertFailed, assertProven } from './ended-runs.ts';
import { ReconcilerClient, type ToldRun } from './reconciler-client.ts';

const SETTINGS: Record<string, string> = {
  RECONCILE_SCHEDULE: 'off',
  RECONCILE_DIRECT_SCHEDULE: 'off',
  RECONCILE_SIIRAYS_SHARE: '100',
  FASTAAPS_TIMEOUT: '2s',
};
/** Late, but in time: ranges aim at half a second. */
const LATE_MS = 900;
/** Longer than the time-out. */
const SILENT_MS = 3_000;
const pipeline = await RunningPipeline.start({
  epsas: 200,
  settings: { reconciler: SETTINGS, consumer: { RETRY_MAX: '500ms' } },
});
const { stack } = pipeline;
const proxy = await startProxy(stack.endpoints.fastaaps);
SETTINGS.FASTAAPS_URL = proxy.url;
await stack.start('reconciler');
const client = new ReconcilerClient(stack.endpoints);
const fastaaps = new pg.Pool({ connectionString: stack.endpoints.fastaapsDatabase, max: 1 });
fastaaps.on('error', () => undefined);
after(() => fastaaps.end());
/** Documents that lack a required field. */
const DEAD = (await pipeline.deadLetters()).length;

/** Changes a document behind the service's back. */
async function wrongInFastaaps(id: string): Promise<void> {
  await fastaaps.query(
    `UPDATE document SET document = jsonb_set(document, '{informacion_general,web}', '"falso"')
      WHERE collection = 'registro' AND db_tag = 'sync' AND id = $1`,
    [id],
  );
}

/** Treats calls to FASTAAPS that match in this way, the others well; gives how many there were. */
function treat(call: RegExp, treatment: (nth: number) => Treatment): () => number {
  let times = 0;
  proxy.treat = (made) => (call.test(made) ? treatment(times++) : 'pass');
  return () => times;
}

for (const direct of [false, true]) {
  const what = direct ? 'the direct comparison' : 'the comparison of documents';
  // Named documents need no rows, and are asked for one by one by the direct comparison.
  const read = /GET .*\/registro\/(versions)?\?/;
  const all = { mode: 'verify', direct };

  describe(`FASTAAPS slow for ${what}`, { timeout: 290_000 }, () => {
    test('each answer later than a range may take: it waits, and proves all', async () => {
      const asked = treat(/./, () => ({ hold: sleep(LATE_MS) }));
      assertProven(await client.reconcile(all), DEAD, 'slow');
      assert.ok(asked() > 0);
    });

    test('silent once for longer than the time-out, then half an answer and silence: it asks again', async () => {
      const asked = treat(read, (nth) => {
        if (nth === 0) return { hold: sleep(SILENT_MS) };
        return nth === 1 ? { half: sleep(SILENT_MS) } : 'pass';
      });
      assertProven(await client.reconcile(all), DEAD, 'silent for a while');
      assert.ok(asked() >= 3, `asked ${asked()} times`);
    });

    test('silent for good: failed with the reason, within bounds; back, the same run goes on', async () => {
      const silence = Promise.withResolvers<void>();
      treat(read, () => ({ hold: silence.promise }));
      const id = await client.start(all);
      const failed = await client.untilEnded(id, 60_000);
      assertFailed(failed, /FASTAAPS cannot be reached|nobody listens|FASTAAPS/);
      proxy.treat = () => 'pass';
      silence.resolve();
      const { json } = await client.call('POST', '/reconciliations', { resume: id });
      assertProven(await client.untilEnded((json as ToldRun).id), DEAD, 'back');
    });

    test('slow while it repairs: repaired once, and the next run finds nothing', async () => {
      await wrongInFastaaps('1612');
      treat(/./, (nth) => ({ hold: sleep(nth === 1 ? 1_500 : 600) }));
      const run = await client.reconcile({ direct });
      proxy.treat = () => 'pass';
      assert.equal(run.repaired.document, 1, JSON.stringify({ ...run, options: undefined }));
      assertProven(await client.reconcile(all), DEAD, 'the second run');
      await pipeline.assertEqual('after the repair');
    });
  });
}

describe("FASTAAPS's own process", { timeout: 290_000 }, () => {
  test('standing still in the middle of a run with changes under way: no false difference', async () => {
    const asked = treat(/versions/, () => 'pass');
    stack.kill('fastaaps', 'SIGSTOP');
    try {
      await pipeline.siirays.query(`UPDATE epsa SET fax = 'lento' WHERE id_epsa % 5 = 0`);
      const rows = await client.reconcile({ mode: 'verify', tables: ['epsa', 'sector'] });
      assert.equal(rows.state, 'equal', 'rows are proven without FASTAAPS');
      const id = await client.start({ mode: 'verify', stopAfter: DEAD + 1 });
      await until(() => asked() > 1, 'the second question', 60_000);
      stack.kill('fastaaps', 'SIGCONT');
      assertProven(await client.untilEnded(id), DEAD, 'slow deliveries');
    } finally {
      stack.kill('fastaaps', 'SIGCONT');
    }
    await pipeline.assertEqual('after it');
    assertProven(await client.reconcile({ mode: 'verify' }), DEAD, 'after it');
  });
});
