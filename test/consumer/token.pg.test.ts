import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type pg from 'pg';
import { TokenLost } from '../../src/consumer/broken-history.ts';
import { CheckpointStore } from '../../src/consumer/checkpoint.ts';
import { SqlLeaseTable } from '../../src/consumer/lease-table.ts';
import { connectSession, endOlderSessions } from '../../src/consumer/sessions.ts';
import { acquireToken, keepToken } from '../../src/consumer/token.ts';
import { connect, disconnect } from '../../src/postgres/session.ts';
import { testDatabase } from '../support/postgres.ts';
import { silent } from '../support/producer.ts';
import { until } from '../support/until.ts';
import { blindConnector, createSync } from './sync-database.ts';

const database = await testDatabase();
const LEASE = { renewMs: 20, timeoutMs: 600 };

const tableOf = (session: pg.Client) => new SqlLeaseTable(session, 'blind_sync', LEASE.timeoutMs);

describe('the token', () => {
  let client: pg.Client;

  before(async () => {
    ({ client } = await createSync(database.url, blindConnector('blind')));
  });
  after(() => disconnect(client));

  function acquire(session: pg.Client, instanceId: string, standby: (holder: string | null) => void = () => undefined) {
    const options = {
      instanceId,
      lease: LEASE,
      log: silent,
      signal: AbortSignal.timeout(10_000),
    };
    return acquireToken(tableOf(session), { ...options, onStandby: standby });
  }

  test('a standby waits while the holder renews, and takes over when it stops', async () => {
    const [a, b] = [
      await connect({ connectionString: database.url }),
      await connect({ connectionString: database.url }),
    ];
    try {
      const first = await acquire(a, 'a');
      const keeper = keepToken(tableOf(a), first, LEASE, () => undefined);
      let looks = 0;
      let taken: string | null = null;
      const second = acquire(b, 'b', () => {
        looks += 1;
      }).then((token) => {
        taken = token;
        return token;
      });
      await until(() => looks > (3 * LEASE.timeoutMs) / LEASE.renewMs, 'looks for three times the timeout');
      assert.equal(taken, null, 'the holder renews');
      await keeper.stop();
      const stopped = performance.now();
      assert.equal(await second, String(BigInt(first) + 1n));
      assert.ok(performance.now() - stopped >= LEASE.timeoutMs - 2 * LEASE.renewMs);
    } finally {
      await Promise.all([disconnect(a), disconnect(b)]);
    }
  });

  test('a commit that takes longer than the lease loses nothing to a standby', async () => {
    await releaseAll();
    const sessions = await Promise.all(Array.from({ length: 3 }, () => connect({ connectionString: database.url })));
    const [renewing, applying, standby] = sessions as [pg.Client, pg.Client, pg.Client];
    try {
      const first = await acquire(renewing, 'a');
      const lost: unknown[] = [];
      await applying.query('BEGIN');
      const commit = { history: 1, seq: '1', lsn: '1', committedMs: 0 };
      await new CheckpointStore('blind_sync', first).project(applying, commit);
      const keeper = keepToken(tableOf(renewing), first, LEASE, (error) => lost.push(error));
      let looks = 0;
      let taken: string | null = null;
      const second = acquire(standby, 'b', () => {
        looks += 1;
      }).then((token) => {
        taken = token;
        return token;
      });
      const waitSeconds = LEASE.timeoutMs / 1000;
      const both = `SELECT count(*) = 2 AS wait FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE %checkpoint%' AND state_change < clock_timestamp() - interval '${waitSeconds / 2} s'`;
      await until(async () => (await client.query(both)).rows[0].wait, 'both to wait for the row');
      await applying.query('COMMIT');
      const before = looks;
      await until(() => looks > before + 3 || taken !== null, 'more looks of the standby');
      assert.equal(taken, null, 'the holder was at work');
      assert.deepEqual(lost, []);
      await keeper.stop();
      assert.equal(await second, String(BigInt(first) + 1n));
    } finally {
      await Promise.all(sessions.map(disconnect));
    }
  });

  test('of many that want it at once, each token goes to one', async () => {
    await releaseAll();
    const sessions = await Promise.all(Array.from({ length: 6 }, () => connect({ connectionString: database.url })));
    try {
      const tokens: string[] = [];
      await Promise.all(
        sessions.map(async (session, i) => {
          const token = await acquire(session, `instance ${i}`);
          tokens.push(token);
          for (let query = 0; query < 10; query++) await session.query('SELECT 1');
          const { rows } = await session.query('SELECT token::text, holder FROM blind_sync.checkpoint');
          assert.deepEqual(rows[0], { token, holder: `instance ${i}` }, 'nobody takes what is held');
          await tableOf(session).release(token);
        }),
      );
      assert.equal(new Set(tokens).size, 6);
    } finally {
      await Promise.all(sessions.map(disconnect));
    }
  });

  test('a holder that was overtaken notices at its next renewal', async () => {
    await releaseAll();
    const token = await acquire(client, 'a');
    const lost: unknown[] = [];
    const renewing = await connect({ connectionString: database.url });
    const keeper = keepToken(tableOf(renewing), token, LEASE, (error) => lost.push(error));
    assert.notEqual(await acquire(client, 'a'), token);
    await until(() => lost.length > 0, 'the loss to be noticed', 3_000);
    assert.ok(lost[0] instanceof TokenLost);
    await keeper.stop();
    await disconnect(renewing);
  });

  test('giving back a token that is not ours any more leaves the new holder alone', async () => {
    await releaseAll();
    const old = await acquire(client, 'a');
    await acquire(client, 'a');
    await tableOf(client).release(old);
    const { rows } = await client.query('SELECT holder FROM blind_sync.checkpoint');
    assert.equal(rows[0].holder, 'a');
  });

  test('sessions of older tokens of this connector are ended, all others live', async () => {
    const session = (connector: string, token: string) =>
      connectSession({ syncUrl: database.url, connector, token, idleInTransactionMs: 1_000 });
    const old = await session('blind', '9');
    const same = await session('blind', '10');
    const other = await session('blind2', '9');
    try {
      assert.equal(await endOlderSessions(client, 'blind', '10'), 1);
      await assert.rejects(old.query('SELECT 1'));
      await same.query('SELECT 1');
      await other.query('SELECT 1');
    } finally {
      await Promise.all([old, same, other].map(disconnect));
    }
  });

  async function releaseAll(): Promise<void> {
    await client.query('UPDATE blind_sync.checkpoint SET holder = NULL');
  }
});
