import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { cursorRows } from '../../src/postgres/cursor-rows.ts';
import { connect, disconnect } from '../../src/postgres/session.ts';
import { testDatabase } from '../support/postgres.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const { url } = await testDatabase();
const client = await connect({ connectionString: url });
after(() => disconnect(client));

const MEGABYTE = 1 << 20;
/** Longer texts lie outside of the heap. */
const LENGTH = 1 << 18;

describe('rows of a cursor', () => {
  test('are held for no longer than they are taken, however many there are', async () => {
    const sql = `SELECT repeat('x', ${LENGTH}) || n AS text FROM generate_series(1, 600) AS n`;
    let rows = 0;
    let most = 0;
    for await (const { text } of cursorRows<{ text: string }>(client, sql, [], (row) => row.text.length)) {
      rows += 1;
      assert.equal(text.length, LENGTH + String(rows).length);
      if (rows % 100 !== 0) continue;
      collect();
      most = Math.max(most, process.memoryUsage().heapUsed);
    }
    assert.equal(rows, 600);
    // All of them are 150 MB.
    assert.ok(most < 60 * MEGABYTE, `${Math.round(most / MEGABYTE)} MB are held`);
  });

  test('end with the error of the connection, also where it is lost between two portions', async () => {
    const lost = await connect({ connectionString: url });
    const { rows } = await lost.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const taken = cursorRows<{ n: number }>(lost, 'SELECT generate_series(1, 100000) AS n', [], () => 1_000);
    assert.equal((await taken.next()).value?.n, 1);
    const ended = new Promise((resolve) => lost.once('end', resolve));
    await client.query('SELECT pg_terminate_backend($1)', [rows[0]!.pid]);
    await ended;
    await assert.rejects(async () => {
      for await (const _ of taken) {
        // Until the connection is missed.
      }
    }, /terminat|ended|ECONNRESET/);
  });
});
