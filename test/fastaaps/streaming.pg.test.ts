import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import pg from 'pg';
import { until } from '../support/until.ts';
import { all, clientOf, document, header, startReference, TARGET, upsert } from './reference.ts';

const DOCUMENTS = 6_000;
const FILL = 'x'.repeat(10_000);
/** Socket buffers on both sides (the kernel's grow to a few MB), one batch, one line. */
const IN_FLIGHT_BYTES = 16 << 20;

describe('a changeset of 60 MB', () => {
  it('is read only as fast as it is stored, and answered only as fast as it is read', async () => {
    const service = await startReference();
    const client = clientOf(service.url);
    const database = new pg.Client({ connectionString: service.databaseUrl });
    await database.connect();
    let taken = 0;
    async function* lines() {
      for (let id = 1; id <= DOCUMENTS; id += 1) {
        const line = upsert(id, 1, document(id, FILL));
        taken += line.length;
        yield line;
      }
    }
    // The service cannot insert: whatever is sent has to wait somewhere.
    await database.query('BEGIN; LOCK TABLE document IN SHARE MODE');
    const posting = client.postChanges(TARGET, header(1), lines());
    await until(async () => {
      const { rows } = await database.query(`SELECT FROM pg_locks WHERE NOT granted`);
      return rows.length > 0;
    }, 'the first batch');
    await standsStill(() => taken);
    assert.ok(taken < IN_FLIGHT_BYTES, `${taken} bytes were taken although nothing could be stored`);
    await database.query('COMMIT');
    await database.end();
    const answer = await posting;
    assert.deepEqual([answer.applied, answer.ignored], [DOCUMENTS, 0]);
    assert.ok(answer.bytes > 60_000_000, String(answer.bytes));

    const { documents } = await client.getSet(TARGET);
    assert.equal((await all(documents)).length, DOCUMENTS);
  });
});

/** Waits until the value has been the same for many turns of the event loop. */
async function standsStill(value: () => number): Promise<void> {
  let last = -1;
  let same = 0;
  await until(async () => {
    for (let count = 0; count < 50; count += 1) await turn();
    same = value() === last ? same + 1 : 0;
    last = value();
    return same >= 20;
  }, 'a standstill');
}
