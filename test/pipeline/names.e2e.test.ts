/** Tables and columns of any name, and another encoding of SIIRAyS's database. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { SYNC_ROLE } from '../../embedded/stack/siirays-database.ts';
import { ReconcilerClient } from '../reconciler/reconciler-client.ts';
import { changeOddTables, makeOddTables } from '../support/odd-names.ts';
import { type TestTable, ValuePipeline } from '../support/value-pipeline.ts';

// Its texts hold what is in no ASCII, and are other bytes here than in topics, replica and documents.
const names = await ValuePipeline.prepare({ encoding: 'LATIN1' });
const { siirays } = names;

describe('names, and a database in LATIN1', { timeout: 280_000 }, () => {
  let tables: TestTable[] = [];

  before(async () => {
    await names.makeHostile();
    await names.asSuperuser(async (client) => {
      await client.query('GRANT CREATE ON DATABASE siirays2019 TO siirays');
    });
    tables = await makeOddTables(siirays);
    await changeOddTables(siirays, tables);
    await names.start(tables);
  });

  test('the first load', async () => {
    assert.equal((await siirays.query('SHOW server_encoding')).rows[0].server_encoding, 'LATIN1');
    await names.assertReplicaEqual('the first load');
  });

  test('changes', async () => {
    await changeOddTables(siirays, tables);
    await names.assertReplicaEqual('changes');
    await names.assertTopicsEqual('changes');
  });

  test('reconciliation finds no difference', async () => {
    const client = new ReconcilerClient(names.pipeline.stack.endpoints);
    for (const direct of [false, true]) {
      const run = await client.reconcile({ mode: 'verify', direct });
      assert.deepEqual([run.state, run.differences, run.notes], ['equal', [], []], `direct: ${direct}`);
    }
  });

  test('the names in documents and in the topics are those of SIIRAyS', async () => {
    assert.equal(SYNC_ROLE, 'siirays_sync');
    const { text } = await names.pipeline.answer();
    assert.match(text, /"ñ12"/);
  });
});
