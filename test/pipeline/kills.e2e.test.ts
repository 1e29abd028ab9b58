/** kill -9 in the middle of traffic: nothing lost, nothing doubled, nothing half. */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { describe, test } from 'node:test';
import pg from 'pg';
import { runTraffic } from '../../embedded/siirays/traffic.ts';
import type { PartName } from '../../embedded/stack/names.ts';
import { loadConnectors } from '../../src/connector/load.ts';
import { topicsFor } from '../../src/kafka/topics.ts';
import { RunningPipeline } from '../support/running-pipeline.ts';
import { allUnits, type WitnessedUnit } from '../support/topic-witness.ts';
import { until } from '../support/until.ts';

const pipeline = await RunningPipeline.start({ epsas: 200 });
const { stack } = pipeline;

/** Killed in this order, one at a time and two at once, each while transactions come. */
const KILLS: PartName[][] = [
  ['producer'],
  ['consumer'],
  ['producer', 'consumer'],
  ['kafka'],
  ['fastaaps'],
  ['producer'],
  ['kafka', 'consumer'],
  ['postgres'],
  ['consumer'],
];

describe('kill -9 in the middle of traffic', { timeout: 280_000 }, () => {
  test('ends with every document, every row, and every transaction in the topics exactly once', async () => {
    // An independent witness of what SIIRAyS committed: another plugin on a slot of its own.
    const witness = new pg.Client({ connectionString: stack.environment('producer').SIIRAYS_URL });
    await witness.connect();
    await witness.query(`SELECT pg_create_logical_replication_slot('testigo', 'test_decoding')`);
    const before = (await readAll()).length;

    const ending = new AbortController();
    const traffic = runTraffic({ url: stack.endpoints.siirays, rate: 60, seed: 11 }, ending.signal);
    for (const parts of KILLS) {
      const { seq } = await pipeline.answerWhenUp();
      for (const part of parts) stack.kill(part, 'SIGKILL');
      await until(
        async () => (await pipeline.answerWhenUp()).seq > seq + BigInt(randomInt(5, 60)),
        `the stream to go on after ${parts}`,
        60_000,
      );
    }
    ending.abort();
    const { committed } = await traffic;
    assert.ok(committed > 200, `${committed} transactions were committed`);
    await pipeline.assertEqual('after the kills', 90_000);

    const units = (await readAll()).slice(before);
    assertGapless(units);
    const { rows } = await witness.query<{ xid: string; data: string }>(
      `SELECT xid::text, data FROM pg_logical_slot_get_changes('testigo', NULL, NULL, 'skip-empty-xacts', '1')`,
    );
    const expected = new Map<string, number>();
    const order: string[] = [];
    for (const { xid, data } of rows) {
      if (data.startsWith('BEGIN')) order.push(xid);
      else if (!data.startsWith('COMMIT')) expected.set(xid, (expected.get(xid) ?? 0) + 1);
    }
    const streamed = units.filter((unit) => unit.kind === 'stream');
    assert.deepEqual(
      streamed.map((unit) => unit.id.split(':')[0]),
      order,
      'the same transactions in the same order',
    );
    for (const unit of streamed)
      assert.equal(unit.events, expected.get(unit.id.split(':')[0]!), `events of ${unit.id}`);
    await witness.query(`SELECT pg_drop_replication_slot('testigo')`);
    await witness.end();
  });
});

function readAll(): Promise<WitnessedUnit[]> {
  const { KAFKA_BROKERS, REGISTRY_URL } = stack.environment('producer');
  return allUnits({ kafka: KAFKA_BROKERS!, registry: REGISTRY_URL! }, topicsFor('siirays'), tables());
}

function tables(): { schema: string; table: string }[] {
  return loadConnectors('connectors').flatMap((connector) => [...connector.tables]);
}

function assertGapless(units: WitnessedUnit[]): void {
  units.forEach((unit, i) => {
    const last = units[i - 1];
    if (last) assert.equal(unit.seq, last.seq + 1n, `unit after ${last.seq}`);
    assert.equal(unit.history, 1);
  });
}
