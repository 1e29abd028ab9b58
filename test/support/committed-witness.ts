import assert from 'node:assert/strict';
import pg from 'pg';
import { loadConnectors } from '../../src/connector/load.ts';
import { topicsFor } from '../../src/kafka/topics.ts';
import type { RunningPipeline } from './running-pipeline.ts';
import { allUnits, type WitnessedUnit } from './topic-witness.ts';

const SLOT = 'testigo';

/**
 * An independent witness of what SIIRAyS committed: another plugin (test_decoding) on a slot of its own. Against it stand
 * the topics, as any team reads them.
 */
export class CommittedWitness {
  readonly #pipeline: RunningPipeline;
  readonly #client: pg.Client;
  readonly #before: number;

  private constructor(pipeline: RunningPipeline, client: pg.Client, before: number) {
    this.#pipeline = pipeline;
    this.#client = client;
    this.#before = before;
  }

  /** Begins now: nothing may be written in SIIRAyS meanwhile, and all that was is in the topics. */
  static async start(pipeline: RunningPipeline): Promise<CommittedWitness> {
    const client = new pg.Client({ connectionString: pipeline.stack.environment('producer').SIIRAYS_URL });
    await client.connect();
    await client.query(`SELECT pg_create_logical_replication_slot('${SLOT}', 'test_decoding')`);
    return new CommittedWitness(pipeline, client, (await readAll(pipeline)).length);
  }

  /** Every transaction since then is in the topics once, whole, in commit order, without a gap, in one history. */
  async assertSame(): Promise<void> {
    const units = (await readAll(this.#pipeline)).slice(this.#before);
    assertGapless(units);
    const { rows } = await this.#client.query<{ xid: string; data: string }>(
      `SELECT xid::text, data FROM pg_logical_slot_get_changes('${SLOT}', NULL, NULL, 'skip-empty-xacts', '1')`,
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
  }

  async end(): Promise<void> {
    await this.#client.query(`SELECT pg_drop_replication_slot('${SLOT}')`);
    await this.#client.end();
  }
}

function readAll({ stack }: RunningPipeline): Promise<WitnessedUnit[]> {
  const { KAFKA_BROKERS, REGISTRY_URL } = stack.environment('producer');
  const tables = loadConnectors('connectors').flatMap((connector) => [...connector.tables]);
  return allUnits({ kafka: KAFKA_BROKERS!, registry: REGISTRY_URL! }, topicsFor('siirays'), tables);
}

function assertGapless(units: WitnessedUnit[]): void {
  units.forEach((unit, i) => {
    const last = units[i - 1];
    if (last) assert.equal(unit.seq, last.seq + 1n, `unit after ${last.seq}`);
    assert.equal(unit.history, 1);
  });
}
