import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';
import { encodeSignal } from '../../src/kafka/signal.ts';
import { topicsFor } from '../../src/kafka/topics.ts';
import { testBroker, testRegistry } from '../support/kafka.ts';
import { testDatabase } from '../support/postgres.ts';
import { producerConfig, type RunningProducer, startProducer, type TestSource, witness } from '../support/producer.ts';
import { until } from '../support/until.ts';
import { present, rebuilt } from './rebuilt-tables.ts';

const database = await testDatabase({ wal_level: 'logical' });
// Readers wait for company as long as they do by default: longer than the server waits for its walsender's answers.
const broker = await testBroker({ own: true, settings: { 'group.initial.rebalance.delay.ms': '3000' } });
const registry = await testRegistry();

describe('a producer whose neighbours fail', () => {
  const client = new pg.Client({ connectionString: database.url });
  const source: TestSource = {
    url: database.url,
    slot: `slot_${database.name}`,
    publication: 'prueba',
    broker: broker.address,
    topicPrefix: broker.topicPrefix,
    registryUrl: registry.url,
  };
  const config = producerConfig(source, { writer: { batchBytes: 100_000 } });
  config.siirays.walSenderTimeoutMs = 1_500;
  let producer: RunningProducer;

  before(async () => {
    await client.connect();
    await client.query(`CREATE TABLE t (id integer PRIMARY KEY, v text); CREATE PUBLICATION prueba FOR TABLE t;
      INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 3000) g`);
  });
  after(async () => {
    await producer?.stop();
    await client.end();
  });

  test('starts, though fencing and reading the position take longer than the server waits', async () => {
    for (let start = 0; start < 2; start++) {
      producer = startProducer(config);
      await producer.ready;
      // The second start has a position to read.
      if (start === 0) await producer.stop();
    }
  });

  test('ends at once with a broker that is killed while all is full and a snapshot runs, and goes on without a gap', async () => {
    const signals = new Kafka({ brokers: [broker.address], logLevel: logLevel.NOTHING }).producer();
    await signals.connect();
    await signals.send({
      topic: topicsFor(source.topicPrefix).signal,
      messages: [encodeSignal({ id: 's', kind: 'snapshot', connector: 'c', tables: ['public.t'] })],
    });
    await signals.disconnect();
    const load = async () => {
      for (let i = 0; i < 40; i++) {
        await client.query(`UPDATE t SET v = 'v${i}' || repeat('y', 100) WHERE id % 20 = ${i % 20}`);
        if (i === 20) broker.broker!.part.kill('SIGKILL');
      }
    };
    await load();
    const killed = performance.now();
    await assert.rejects(producer.done);
    assert.ok(performance.now() - killed < 15_000, `it took ${performance.now() - killed} ms to end`);

    await broker.broker!.part.stop('SIGKILL');
    await broker.broker!.part.start();
    await client.query('DELETE FROM t WHERE id % 7 = 0');
    producer = startProducer(config);
    await producer.ready;
    await client.query(`INSERT INTO t VALUES (0, 'last')`);
    const seen = await witness(source, ['t']);
    await until(
      () => seen.units().some(({ begin, end }) => begin.kind === 'snapshot' && end?.status === 'END'),
      'the END',
      60_000,
    );
    await until(
      () => seen.units().some((unit) => unit.events.some(({ after: row }) => row?.[1] === 'last')),
      'the last',
    );
    const units = seen.units();
    await until(() => seen.units().every(({ end, events }) => events.length === (end?.eventCount ?? 0)), 'every event');
    const seqs = units.map(({ begin }) => Number(begin.seq));
    assert.deepEqual(
      seqs,
      seqs.map((_, i) => i + 1),
    );
    assert.deepEqual(
      units.filter(({ begin }) => begin.kind === 'snapshot').map(({ begin }) => begin.status),
      ['BEGIN', 'END'],
    );
    // From the snapshot's BEGIN on, as a new reader does.
    const from = units.findIndex(({ begin }) => begin.kind === 'snapshot');
    assert.deepEqual(rebuilt(seen.units().slice(from), 't'), await present(client, 't'));
    await seen.stop();
  });

  test('notices that the registry was emptied, and its next start registers everything again', async () => {
    const subject = `${registry.url}/subjects/${topicsFor(source.topicPrefix).table('public', 't')}-value`;
    const status = async (path: string, init?: RequestInit) => (await fetch(path, init)).status;
    assert.equal(await status(`${subject}/versions`), 200);
    for (const how of ['', '?permanent=true']) await status(`${subject}${how}`, { method: 'DELETE' });
    await assert.rejects(producer.done, /the schema registry no longer holds 1 subjects, .*t-value/);
    assert.equal(await status(`${subject}/versions`), 404);
    producer = startProducer(config);
    await producer.ready;
    assert.equal(await status(`${subject}/versions`), 200);
  });

  test('ends within seconds while SIIRAyS does not answer', async () => {
    const { rows } = await client.query(
      `SELECT active_pid AS pid FROM pg_replication_slots WHERE slot_name = '${source.slot}'`,
    );
    process.kill(rows[0].pid, 'SIGSTOP');
    try {
      const began = performance.now();
      await producer.stop();
      assert.ok(performance.now() - began < 5_000, `it took ${performance.now() - began} ms`);
    } finally {
      process.kill(rows[0].pid, 'SIGCONT');
    }
  });
});
