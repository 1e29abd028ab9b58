/** What a run does when something goes away in its middle: it ends with the reason, or goes on after; nothing is half. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CliProcess } from '../support/cli-process.ts';
import { RunningPipeline } from '../support/running-pipeline.ts';
import { until } from '../support/until.ts';
import { ReconcilerClient, type ToldRun } from './reconciler-client.ts';

// So slow that there is a middle.
const SLOW = {
  RECONCILE_SCHEDULE: 'off',
  RECONCILE_DIRECT_SCHEDULE: 'off',
  RECONCILE_SIIRAYS_SHARE: '5',
  RECONCILE_PATIENCE: '3s',
  RETRY_MAX: '500ms',
};
const pipeline = await RunningPipeline.start({ without: [], settings: { reconciler: SLOW } });
const { stack, siirays, sync } = pipeline;
const client = new ReconcilerClient(stack.endpoints);

async function untilInItsMiddle(id: string): Promise<ToldRun> {
  let run: ToldRun | undefined;
  await until(
    async () => {
      run = await client.run(id);
      assert.equal(run.ended, false, `it ended too soon: ${JSON.stringify(run)}`);
      return run.progress.rows > 500;
    },
    'the middle of the run',
    30_000,
  );
  return run!;
}

async function goesOn(id: string): Promise<ToldRun> {
  const { status, json } = await client.call('POST', '/reconciliations', { resume: id });
  assert.equal(status, 202, JSON.stringify(json));
  return client.untilEnded((json as ToldRun).id);
}

/** Environment of a command beside the stack, quicker than the reconciler, and patient with a slow machine. */
const command = { ...stack.environment('reconciler'), RECONCILE_SIIRAYS_SHARE: '100', RECONCILE_PATIENCE: '60s' };

describe('a run in whose middle something goes away', { timeout: 290_000 }, () => {
  test('SIIRAyS behind PgBouncer: failed with the reason, and it goes on where it was', async () => {
    const id = await client.start({ mode: 'verify' });
    const middle = await untilInItsMiddle(id);
    stack.kill('pgbouncer', 'SIGKILL');
    const failed = await client.untilEnded(id);
    assert.equal(failed.state, 'failed');
    assert.match(failed.error!.message, /connection|terminated|ECONN|closed/i);
    await stack.part('pgbouncer').stop();
    const refused = await client.reconcile({ mode: 'verify' });
    assert.equal(refused.state, 'failed');
    assert.match(refused.error!.message, /nobody listens/);
    await stack.start('pgbouncer');
    const resumed = await goesOn(id);
    assert.equal(resumed.state, 'equal', JSON.stringify(resumed));
    const { rows } = await siirays.query<{ n: string }>(
      `SELECT sum(n_live_tup)::text AS n FROM pg_stat_user_tables WHERE schemaname = 'public'`,
    );
    assert.ok(resumed.progress.rows < Number(rows[0]!.n) - 100, `it did not begin again: ${resumed.progress.rows}`);
    assert.ok(middle.progress.rows > 500);
  });

  test('FASTAAPS: failed with the reason', async () => {
    await stack.part('fastaaps').stop();
    const run = await client.reconcile({ mode: 'verify', ids: ['1601'] });
    assert.equal(run.state, 'failed');
    assert.match(run.error!.message, /nobody listens|FASTAAPS/);
    await stack.start('fastaaps');
    assert.equal((await client.reconcile({ mode: 'verify', ids: ['1601'] })).state, 'equal');
  });

  test('Kafka: what is equal is proven without it, what differs is not repaired and stays to be', async () => {
    await sync.query(`UPDATE epsa.sector SET sector = 'x' WHERE ctid = (SELECT min(ctid) FROM epsa.sector)`);
    await stack.part('kafka').stop();
    const equal = await client.reconcile({ mode: 'verify', tables: ['epsa'] });
    assert.equal(equal.state, 'equal', JSON.stringify(equal));
    const open = await client.reconcile({ tables: ['sector'] });
    assert.ok(open.state === 'failed' || open.state === 'undecided', JSON.stringify(open));
    await stack.start('kafka');
    await until(
      async () => (await client.reconcile({ tables: ['sector'] })).state === 'repaired',
      'the repair',
      60_000,
    );
    await pipeline.assertEqual('after the repair');
  });

  test('the consumer: a difference that it has yet to apply is none', async () => {
    await stack.part('consumer').stop();
    await siirays.query(`UPDATE epsa SET fax = 'mientras tanto' WHERE id_epsa % 2 = 0`);
    const verifying = new CliProcess(['reconcile', '--mode', 'verify', '--tables', 'epsa'], command);
    const settling = async (): Promise<boolean> => {
      const { json } = await client.call('GET', '/reconciliations?limit=1');
      return (json as { runs: ToldRun[] }).runs[0]!.progress.phase === 'settling';
    };
    await until(settling, 'the settling', 30_000);
    await stack.start('consumer');
    assert.equal(await verifying.exitCode(), 0, verifying.text);
    assert.match(verifying.text, /equal/);
  });

  test('the reconciler itself, by kill -9: shown as interrupted, not as running for ever; it goes on', async () => {
    const id = await client.start({ mode: 'verify' });
    await untilInItsMiddle(id);
    stack.kill('reconciler', 'SIGKILL');
    const run = await client.untilEnded(id, 30_000);
    assert.equal(run.state, 'interrupted');
    assert.equal((await goesOn(id)).state, 'equal');
    assert.equal((await client.call('POST', '/reconciliations', { resume: id })).status >= 400, true, 'once');
  });

  test('two at once: the second is told of the first, or waits behind it; a cancelled one says so', async () => {
    const id = await client.start({ mode: 'verify' });
    const second = await client.call('POST', '/reconciliations', { mode: 'verify' });
    assert.equal(second.status, 409);
    assert.match(JSON.stringify(second.json), new RegExp(id));
    const busy = new CliProcess(['reconcile', '--mode', 'verify'], command);
    assert.equal(await busy.exitCode(), 75);
    assert.match(busy.text, new RegExp(id));
    const behind = new CliProcess(['reconcile', '--mode', 'verify', '--wait', '--ids', '1601'], command);
    await until(() => behind.text.includes('waiting'), 'the one behind');
    await untilInItsMiddle(id);
    assert.equal((await client.call('DELETE', `/reconciliations/${id}`)).status, 202);
    assert.equal((await client.untilEnded(id)).state, 'cancelled');
    assert.equal(await behind.exitCode(), 0, behind.text);
    assert.match(behind.text, /equal/);
  });

  test('the command: exit codes 0, 2, 3, 64, and JSON', async () => {
    await sync.query(`UPDATE epsa_sync.document SET etag = 'x' WHERE id = '1601'`);
    const found = new CliProcess(['reconcile', '--mode', 'verify', '--ids', '1601,1602', '--json'], command);
    assert.equal(await found.exitCode(), 2);
    const { run, differences } = JSON.parse(found.text) as { run: ToldRun; differences: { documents: string[] }[] };
    assert.deepEqual([run.state, differences.map(({ documents }) => documents)], ['differences', [['1601']]]);
    const repaired = new CliProcess(['reconcile', '--ids', '1601'], command);
    assert.equal(await repaired.exitCode(), 0, repaired.text);
    assert.match(repaired.text, /repaired/);
    const unknown = new CliProcess(['reconcile', '--mode', 'verify', '--ids', '1601,99999999'], command);
    assert.equal(await unknown.exitCode(), 3, unknown.text);
    assert.match(unknown.text, /undecided.*no side knows these ids, of which nothing is proven: 99999999\n/s);
    const wrong = new CliProcess(['reconcile', '--tables', 'epsaa', '--max-time', 'soon'], command);
    assert.equal(await wrong.exitCode(), 64);
    assert.match(wrong.text, /^--tables: .*epsa\b.*^--max-time: /ms, 'every mistake, with the nearest known name');
    await pipeline.assertEqual('at the end');
  });
});
