import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchWriter } from '../../src/consumer/batch-writer.ts';
import { BrokenHistory } from '../../src/consumer/broken-history.ts';
import { connectorSchemas } from '../../src/consumer/replica-names.ts';
import { beginStaging, swapIn } from '../../src/consumer/snapshot.ts';
import type { ChangeEvent } from '../../src/kafka/change-event.ts';
import { disconnect } from '../../src/postgres/session.ts';
import { testDatabase } from '../support/postgres.ts';
import { eventOf } from './change-events.ts';
import { blindConnector, createSync, readTable } from './sync-database.ts';
import { keyless } from './table-model.ts';

const database = await testDatabase();

test('a table without a key in the staging copy: the stream takes away rows that the snapshot brings later', async () => {
  const connector = blindConnector('blind');
  const { client, replica } = await createSync(database.url, connector);
  const schemas = connectorSchemas('blind');
  const apply = async (...events: ChangeEvent[]) => {
    const writer = new BatchWriter(client, replica.staging);
    writer.add(0, events);
    await writer.flush();
    await writer.commit();
  };
  const swap = async () => {
    await client.query('BEGIN');
    try {
      await swapIn(client, { connector, schemas, live: replica.live.tables, staging: replica.staging.tables });
    } finally {
      await client.query('ROLLBACK');
      await replica.live.tables.load(client);
      await replica.staging.tables.load(client);
    }
  };
  const row = (text: string) => [text, ...new Array(keyless.columns.length - 1).fill(null)] as (string | null)[];
  try {
    await beginStaging(client, schemas, replica.staging.tables);
    await apply(eventOf(keyless, { op: 'd', before: row('1') }), eventOf(keyless, { op: 'c', after: row('2') }));
    await assert.rejects(swap(), BrokenHistory);
    await apply(
      eventOf(keyless, { op: 't' }),
      eventOf(keyless, { op: 'r', after: row('2') }),
      eventOf(keyless, { op: 'r', after: row('3') }),
    );
    await swap();
    const rows = await readTable(client, await replica.staging.tables.ensure(client, keyless));
    assert.equal(rows.length, 2);
  } finally {
    await disconnect(client);
  }
});
