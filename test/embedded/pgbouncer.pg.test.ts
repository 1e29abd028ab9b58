import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { Client } from 'pg';
import { freePort } from '../../embedded/free-port.ts';
import { startPgBouncer } from '../../embedded/pgbouncer.ts';
import { testDatabase } from '../support/postgres.ts';
import { tempDir } from '../support/temp-dir.ts';

describe('a PgBouncer of our own', () => {
  it('pools by transaction, with the password of the role', async () => {
    const { server, name } = await testDatabase();
    const password = decodeURIComponent(new URL(server.url()).password);
    const dir = tempDir('pgbouncer');
    const bouncer = await startPgBouncer({
      name: 'pgbouncer',
      dir: dir.path,
      logFile: `${dir.path}/log`,
      port: await freePort(),
      server,
      database: name,
      users: { postgres: password },
    });
    after(async () => {
      await bouncer.stop();
      dir.remove();
    });
    const one = new Client({ connectionString: bouncer.url('postgres') });
    const two = new Client({ connectionString: bouncer.url('postgres') });
    await one.connect();
    await two.connect();
    const ask = async (client: Client): Promise<number> =>
      (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid;
    assert.equal(await ask(one), await ask(two), 'sessions share a backend between their transactions');
    await one.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    assert.notEqual(await ask(one), await ask(two), 'a transaction has a backend of its own');
    await one.query('COMMIT');
    await one.end();
    await two.end();
    const wrong = new Client({ connectionString: bouncer.url('postgres').replace(/:[^:@]+@/, ':wrong@') });
    await assert.rejects(wrong.connect());
  });
});
