import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Kafka, logLevel } from 'kafkajs';
import pg from 'pg';
import pino from 'pino';
import { encodeSignal } from '../../src/kafka/signal.ts';
import { topicsFor } from '../../src/kafka/topics.ts';
import { testBroker, testRegistry } from '../support/kafka.ts';
import { testDatabase } from '../support/postgres.ts';
import {
  producerConfig,
  type RunningProducer,
  startProducer,
  type TestSource,
  type Unit,
  type Witness,
  witness,
} from '../support/producer.ts';
import { until } from '../support/until.ts';
import { present, rebuilt } from './rebuilt-tables.ts';

const database = await testDatabase({ own: true });
const broker = await testBroker();
const registry = await testRegistry();

/**
 * A commit that waits for a synchronous standby is in the WAL, and is streamed, but no snapshot sees it. A chunk that is
 * read meanwhile holds the rows as they were, and would undo it.
 */
describe('a commit that is streamed before it is visible', () => {
  const admin = new pg.Client({ connectionString: database.url });
  const kafka = new Kafka({ brokers: [broker.address], logLevel: logLevel.NOTHING });
  const signals = kafka.producer();
  const logged: { event: string; table?: string }[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => logged.push(JSON.parse(line)) });
  const source: TestSource = {
    url: database.url,
    slot: 'ranura',
    publication: 'prueba',
    broker: broker.address,
    topicPrefix: broker.topicPrefix,
    registryUrl: registry.url,
  };
  let producer: RunningProducer;
  let seen: Witness;

  before(async () => {
    await admin.connect();
    await admin.query(`CREATE TABLE t (id integer PRIMARY KEY, v text); CREATE PUBLICATION prueba FOR TABLE t;
      INSERT INTO t SELECT g, 'old' FROM generate_series(1, 20) g`);
    producer = startProducer(producerConfig(source), log);
    await producer.ready;
    seen = await witness(source, ['t']);
    await signals.connect();
  });
  after(async () => {
    await producer?.stop();
    await seen?.stop();
    await signals.disconnect();
    await admin.end();
  });

  const waitForStandby = async (name: string) => {
    await admin.query(`ALTER SYSTEM SET synchronous_standby_names = '${name}'`);
    await admin.query('SELECT pg_reload_conf()');
  };
  /** Commits new values of row 1 until one waits; the server needs a moment to begin with that. */
  const waitingCommit = async (client: pg.Client, value: string) => {
    for (let n = 1; ; n++) {
      const set = `${value}${n}`;
      let ended = false;
      const committing = client.query(`UPDATE t SET v = '${set}' WHERE id = 1`).then(() => {
        ended = true;
      });
      const waits = await until(async () => {
        const { rowCount } = await admin.query(`SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'`);
        return ended ? 'ended' : rowCount ? 'waits' : null;
      }, 'the commit');
      if (waits === 'waits') return { set, committing };
    }
  };
  const units = (kind: string): Unit[] => seen.units().filter(({ begin, end }) => begin.kind === kind && end);
  const ask = (id: string) =>
    signals.send({
      topic: topicsFor(source.topicPrefix).signal,
      messages: [encodeSignal({ id, kind: 'rows', connector: 'c', table: 'public.t', keys: [['1'], ['2'], ['99']] })],
    });
  const readAgain = () => logged.filter(({ event }) => event === 'chunk_read_again').length;

  for (const restarted of [false, true]) {
    test(`is not undone by a chunk${restarted ? ', nor by one of a producer that was started again' : ''}`, async () => {
      const value = restarted ? 'newer' : 'new';
      const client = new pg.Client({ connectionString: database.url });
      await client.connect();
      await waitForStandby('nobody');
      const chunks = units('chunk').length;
      const { set, committing } = await waitingCommit(client, value);
      await until(() => rebuilt(seen.units(), 't').includes(`1|${set}`), 'the commit in Kafka');
      assert.ok(!(await present(admin, 't')).includes(`1|${set}`), 'snapshots do not see it');
      if (restarted) {
        await producer.stop();
        producer = startProducer(producerConfig(source), log);
        await producer.ready;
      }
      const before = readAgain();
      await ask(value);
      await until(() => readAgain() >= before + 3, 'a chunk that is read again');
      assert.equal(units('chunk').length, chunks);
      await waitForStandby('');
      await committing;
      await until(() => units('chunk').length > chunks, 'the chunk');
      assert.deepEqual(
        units('chunk')
          .at(-1)!
          .events.map(({ op, before: old, after: row }) => [op, ...(row ?? old)!]),
        [
          ['d', '99', null],
          ['r', '1', set],
          ['r', '2', 'old'],
        ],
      );
      assert.ok(rebuilt(seen.units(), 't').includes(`1|${set}`));
      await client.end();
    });
  }
});
