import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Client } from 'pg';
import { freePort } from '../../embedded/free-port.ts';
import { startPostgres } from '../../embedded/postgres-server.ts';
import { testDatabase } from '../support/postgres.ts';
import { isRunning } from '../support/processes.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

async function ask(url: string, sql: string): Promise<unknown[][]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined); // a server that is killed: the query fails, and says so
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows;
  } finally {
    await client.end();
  }
}

describe('a PostgreSQL server of our own', () => {
  it('is UTF-8, durable, on loopback, and takes SCRAM passwords only', async () => {
    const { url, server } = await testDatabase({ settings: { fsync: 'on' } });
    const settings = await ask(
      url,
      `SELECT current_setting('server_encoding'), current_setting('fsync'), current_setting('listen_addresses'),
              current_setting('wal_level'), (SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = 'postgres')`,
    );
    assert.deepEqual(settings, [['UTF8', 'on', '127.0.0.1', 'logical', 'SCRAM-SHA-256']]);
    await assert.rejects(ask(server.url('postgres', 'postgres', 'wrong'), 'SELECT 1'), { code: '28P01' });
  });

  it('comes back on the same port with its data when it is killed', async () => {
    const { url, postgres } = await testDatabase({ own: true });
    await ask(url, 'CREATE TABLE kept AS SELECT 1 AS a');
    const before = postgres!.pid;
    postgres!.part.kill('SIGKILL');
    await until(async () => postgres!.pid !== undefined && postgres!.pid !== before, 'a new process');
    await postgres!.part.whenReady();
    assert.deepEqual(await ask(url, 'SELECT a FROM kept'), [[1]]);
  });

  it('starts although another process has the number in its postmaster.pid', async () => {
    const dir = tempDir('postmaster-pid');
    const options = { name: 'postgres', dir: dir.path, port: await freePort(), password: 'secret' };
    const first = await startPostgres(options);
    await first.stop();
    // Not this process: PostgreSQL passes over its own parent.
    const other = spawn('sleep', ['1000']);
    writeFileSync(join(first.dataDir, 'postmaster.pid'), `${other.pid}\n${first.dataDir}\n`);
    const second = await startPostgres(options).finally(() => other.kill());
    assert.deepEqual(await ask(second.url(), 'SELECT 1'), [[1]]);
    await second.stop();
    dir.remove();
  });

  it('ends with the process that started it, busy backends too', async () => {
    const dir = tempDir('pdeathsig');
    const module = pathToFileURL(join(import.meta.dirname, '../../embedded/postgres-server.ts')).href;
    const script = `
      const { startPostgres } = await import(${JSON.stringify(module)});
      const server = await startPostgres({ name: 'p', dir: process.argv[1], port: ${await freePort()}, password: 'p' });
      console.log(server.pid, server.url());`;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script, dir.path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(createInterface({ input: parent.stdout }), 'line')) as [string];
    const [pid, url] = line.split(' ') as [string, string];
    const busy = ask(url, 'SELECT count(*) FROM generate_series(1, 10000000000)').catch((error: Error) => error);
    const [[backend]] = (await until(async () => {
      const rows = await ask(
        url,
        `SELECT pid FROM pg_stat_activity WHERE query LIKE '%generate_series(1, 1%' AND pid <> pg_backend_pid()`,
      );
      return rows.length > 0 && rows;
    }, 'the busy backend')) as [[number]];
    parent.kill('SIGKILL');
    await until(async () => !isRunning(Number(pid)) && !isRunning(backend), 'the end of the server');
    assert.ok((await busy) instanceof Error);
    dir.remove();
  });
});
