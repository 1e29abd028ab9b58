/** Verifying and restoring while SIIRAyS is changed. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import pg from 'pg';
import { runTraffic } from '../../embedded/siirays/traffic.ts';
import { canonicalText, parseDigits, referenceDocuments } from '../connector/reference-projection.ts';
import { CliProcess } from '../support/cli-process.ts';
import { normalised, RunningPipeline } from '../support/running-pipeline.ts';
import { until } from '../support/until.ts';
import { verifyUnderTraffic } from './no-false-difference.ts';
import { ReconcilerClient } from './reconciler-client.ts';

const settings = {
  reconciler: {
    RECONCILE_SCHEDULE: 'off',
    RECONCILE_DIRECT_SCHEDULE: 'off',
    RECONCILE_SIIRAYS_SHARE: '100',
    RETRY_MAX: '500ms',
  },
  consumer: { RETRY_MAX: '500ms' },
};
const pipeline = await RunningPipeline.start({ without: [], settings });
const { stack, siirays } = pipeline;
const client = new ReconcilerClient(stack.endpoints);
const fastaaps = new pg.Pool({ connectionString: stack.endpoints.fastaapsDatabase, max: 1 });
fastaaps.on('error', () => undefined);
after(() => fastaaps.end());

const RUNS = 20;

async function backup(): Promise<Map<string, string>> {
  const { rows } = await fastaaps.query<{ id: string; document: string }>(
    `SELECT id, document::text AS document FROM document WHERE collection = 'registro' AND db_tag = 'backup' AND document IS NOT NULL`,
  );
  return new Map(rows.map(({ id, document }) => [id, document]));
}

describe('reconciling while SIIRAyS is changed', { timeout: 290_000 }, () => {
  test(`${RUNS} verifies without a pause find no false difference`, async (context) => {
    const { states } = await verifyUnderTraffic(pipeline, ({ runs }) => runs >= RUNS);
    context.diagnostic(JSON.stringify(states));
    await pipeline.assertEqual('after the traffic');
    const run = await client.reconcile({ mode: 'verify' });
    assert.deepEqual(run.notes, []);
  });

  test('a restore into backup is one commit of SIIRAyS, under load', async () => {
    const ending = new AbortController();
    const traffic = runTraffic({ url: stack.endpoints.siirays, rate: 50 }, ending.signal);
    // Both rows change in each transaction: a set of two commits would show them apart.
    const pair = await siirays.query<{ id: string }>('SELECT id_epsa AS id FROM epsa ORDER BY id_epsa');
    const [first, last] = [pair.rows[0]!.id, pair.rows.at(-1)!.id];
    let stamp = 0;
    const stamping = (async () => {
      while (!ending.signal.aborted) {
        await siirays.query(`UPDATE epsa SET web = $1 WHERE id_epsa IN ($2, $3)`, [`sello ${++stamp}`, first, last]);
      }
    })();
    const run = await client.reconcile({ mode: 'restore', target: 'backup' });
    ending.abort();
    await Promise.all([traffic, stamping]);
    assert.ok(run.state === 'equal' || run.state === 'differences', JSON.stringify(run));
    const documents = await backup();
    const web = (id: string): string =>
      (JSON.parse(documents.get(id)!) as { informacion_general: { web: string } }).informacion_general.web;
    assert.equal(web(first), web(last), 'both documents are of one commit');
    assert.ok(run.lsn);
  });

  test('a restore equals SIIRAyS', async () => {
    const run = await client.reconcile({ mode: 'restore', target: 'backup' });
    const documents = await backup();
    const reference = referenceDocuments(await pipeline.siiraysRows());
    const whole = [...reference].filter(([, { problems }]) => problems.length === 0);
    assert.equal(documents.size, whole.length);
    assert.equal(run.left.dead_letter ?? 0, reference.size - whole.length, 'those that lack a field are named');
    for (const [id, { document }] of whole) {
      const held = canonicalText(normalised(parseDigits(documents.get(id)!) as never));
      assert.equal(held, canonicalText(normalised(document)), `document ${id}`);
    }
  });

  test('the live set is not restored over', async () => {
    const { status, json } = await client.call('POST', '/reconciliations', { mode: 'restore', target: 'sync' });
    assert.equal(status, 400, JSON.stringify(json));
  });

  test('by schedule: the runs come by themselves, one after the other, and what comes next is told', async () => {
    await stack.part('reconciler').stop();

    const often = { ...stack.environment('reconciler'), RECONCILE_SCHEDULE: '*/2 * * * * *', API_PORT: '0' };
    const reconciler = new CliProcess(['reconciler'], often);
    await until(
      () => reconciler.lines.filter(({ event }) => event === 'run_ended').length >= 3,
      'three runs by schedule',
      60_000,
    );
    await reconciler.stop();
    await stack.start('reconciler');
    const { json } = await client.call('GET', '/reconciliations?trigger=schedule&limit=10');
    const { runs } = json as { runs: { state: string; options: { mode: string } }[] };
    assert.ok(runs.length >= 3);
    for (const { options } of runs) assert.equal(options.mode, 'repair');
    const status = (await client.call('GET', '/status')).json as { scheduled: { name: string }[] };
    assert.deepEqual(status.scheduled.map(({ name }) => name).sort(), ['direct', 'periodic']);
  });
});
