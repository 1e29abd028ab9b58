/**
 * SIIRAyS's own server gone in the middle of a run: the run ends failed with its reason, or goes on after; nothing is half,
 * and a second run proves equality.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import pg from 'pg';
import { connect, disconnect } from '../../src/postgres/session.ts';
import { RunningPipeline } from '../support/running-pipeline.ts';
import { until } from '../support/until.ts';
import { assertFailed, assertProven } from './ended-runs.ts';
import { ReconcilerClient, type ToldRun } from './reconciler-client.ts';

/** A lock on a table is waited for, so that there is a middle. */
const RECONCILER = {
  RECONCILE_SCHEDULE: 'off',
  RECONCILE_DIRECT_SCHEDULE: 'off',
  RECONCILE_SIIRAYS_SHARE: '100',
  SNAPSHOT_LOCK_TIMEOUT: '60s',
};
const LAZY = { RETRY_MAX: '500ms' };
const pipeline = await RunningPipeline.start({
  ...{ epsas: 200, without: [] },
  settings: { reconciler: RECONCILER, producer: LAZY, consumer: LAZY },
});
const { stack, sync } = pipeline;
const client = new ReconcilerClient(stack.endpoints);
const fastaaps = new pg.Pool({ connectionString: stack.endpoints.fastaapsDatabase, max: 1 });
fastaaps.on('error', () => undefined);
after(() => fastaaps.end());
/** Documents that lack a required field. */
const DEAD = (await pipeline.deadLetters()).length;

/** PgBouncer's words, or PostgreSQL's own. */
const SIIRAYS_AWAY = /connection|terminated|ECONN|closed|shutting down|starting up|nobody listens|login|crash/i;

/** Starts a run and stops it at a table, in an open snapshot of SIIRAyS; what ends SIIRAyS's server ends the stop. */
async function stoppedAt(table: string, body: Record<string, unknown>): Promise<string> {
  const holder = await connect({ connectionString: stack.superuserUrl() });
  after(() => disconnect(holder));
  await holder.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
  const id = await client.start(body);
  const waiting = `SELECT FROM pg_locks WHERE relation = '${table}'::regclass AND NOT granted`;
  await until(
    async () => {
      const run = await client.run(id);
      assert.equal(run.ended, false, `it ended too soon: ${JSON.stringify(run)}`);
      return (await holder.query(waiting)).rowCount;
    },
    'the run to reach the table',
    30_000,
  );
  return id;
}

/** SIIRAyS is back, and PgBouncer believes it: after a refused login it does not try again for 15 s. */
async function siiraysIsBack(): Promise<void> {
  await stack.part('pgbouncer').stop();
  await stack.part('siirays').whenReady();
  await stack.start('pgbouncer');
  await pipeline.reconnect();
}

/** Changes a document behind the service's back. */
async function wrongInFastaaps(id: string): Promise<void> {
  await fastaaps.query(
    `UPDATE document SET document = jsonb_set(document, '{informacion_general,web}', '"falso"')
      WHERE collection = 'registro' AND db_tag = 'sync' AND id = $1`,
    [id],
  );
}

/** Documents of the backup, in the order of their ids. */
async function backup(): Promise<string[]> {
  const { rows } = await fastaaps.query<{ document: string }>(
    `SELECT document::text AS document FROM document WHERE collection = 'registro' AND db_tag = 'backup' ORDER BY id`,
  );
  return rows.map(({ document }) => document);
}

describe("SIIRAyS's own server", { timeout: 290_000 }, () => {
  test('killed and back at once: the run fails with the reason, and goes on where it was', async () => {
    const id = await stoppedAt('ingresos', { mode: 'verify' });
    const before = (await client.run(id)).progress.rows;
    assert.ok(before > 0);
    stack.kill('siirays', 'SIGKILL');
    assertFailed(await client.untilEnded(id), SIIRAYS_AWAY);
    await siiraysIsBack();
    const { json } = await client.call('POST', '/reconciliations', { resume: id });
    const resumed = await client.untilEnded((json as ToldRun).id);
    assertProven(resumed, DEAD, 'the resumed run');
    const rows = Object.values(await pipeline.siiraysRows()).reduce((sum, { length }) => sum + length, 0);
    assert.ok(resumed.progress.rows <= rows - before, `it began again: ${resumed.progress.rows} of ${rows}`);
  });

  test('away while a run repairs: nothing is half, and the next run repairs the rest', async () => {
    // Rows of a table that the run has been through, and of one that it does not reach; a document after both.
    await sync.query(`UPDATE epsa.epsa SET fax = 'falso' WHERE id_epsa = (SELECT max(id_epsa) FROM epsa.epsa)`);
    await sync.query(`DELETE FROM epsa.ingresos WHERE ctid = (SELECT max(ctid) FROM epsa.ingresos)`);
    await wrongInFastaaps('1610');
    const id = await stoppedAt('ingresos', {});
    await stack.part('siirays').stop('SIGKILL');
    assertFailed(await client.untilEnded(id), SIIRAYS_AWAY);
    // PgBouncer refuses a run that comes now, or lets it wait.
    const meanwhile = await client.start({});
    await stack.part('siirays').start();
    let run = await client.untilEnded(meanwhile);
    await siiraysIsBack();
    if (run.state === 'failed') {
      assertFailed(run, SIIRAYS_AWAY);
      run = await client.reconcile({});
    }
    assert.deepEqual([run.error, run.repaired], [null, { row: 2, document: 1 }], JSON.stringify(run));
    await pipeline.assertEqual('after the repair');
    assertProven(await client.reconcile({ mode: 'verify' }), DEAD, 'the second run');
  });

  test('killed in the middle of a direct run: failed with the reason; back, it proves all', async () => {
    const id = await stoppedAt('epsa', { mode: 'verify', direct: true });
    stack.kill('siirays', 'SIGKILL');
    assertFailed(await client.untilEnded(id), SIIRAYS_AWAY);
    await siiraysIsBack();
    assertProven(await client.reconcile({ mode: 'verify', direct: true }), DEAD, 'the direct run');
  });

  test('killed in the middle of a restore: failed with the reason, and the old backup stays', async () => {
    await client.reconcile({ mode: 'restore', target: 'backup' });
    const old = await backup();
    await pipeline.siirays.query(`UPDATE epsa SET fax = 'nuevo'`);
    const id = await stoppedAt('epsa', { mode: 'restore', target: 'backup' });
    stack.kill('siirays', 'SIGKILL');
    assertFailed(await client.untilEnded(id), SIIRAYS_AWAY);
    assert.deepEqual(await backup(), old);
    await siiraysIsBack();
    assertProven(await client.reconcile({ mode: 'restore', target: 'backup' }), DEAD, 'the next restore');
    assert.equal((await backup()).filter((document) => document.includes('"fax": "nuevo"')).length, old.length);
  });
});
