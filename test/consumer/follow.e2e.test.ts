/** The consumer behind a real producer, Kafka, registry and PostgreSQL; only FASTAAPS is left out. */
import assert from 'node:assert/strict';
import { after, afterEach, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Kafka, logLevel } from 'kafkajs';
import { BrokenHistory, TokenLost } from '../../src/consumer/broken-history.ts';
import { until } from '../support/until.ts';
import { createRig } from './consumer-rig.ts';

// Not in a hook: servers that a hook asks for end with it.
const rig = await createRig(300);

describe('the consumer behind a producer', { timeout: 240_000 }, () => {
  afterEach(() => rig.stopConsumers());
  after(() => rig.close());

  /** Everything that a replay must not touch. */
  async function state(): Promise<unknown> {
    const { rows } = await rig.sync.query(
      `SELECT (SELECT count(*) FROM epsa_sync.document_version) AS versions, (SELECT max(version) FROM epsa_sync.document) AS version,
         (SELECT seq FROM epsa_sync.checkpoint) AS seq, (SELECT lsn FROM epsa_sync.checkpoint) AS lsn`,
    );
    return rows[0];
  }

  test('loads everything, then follows changes of every kind', async () => {
    const consumer = rig.consumer('one');
    await rig.equal('the first load');
    await rig.change(`UPDATE epsa SET nombre_epsa = nombre_epsa || ' (nueva)' WHERE id_epsa % 3 = 0`);
    await rig.equal('an update');
    await rig.change(`DELETE FROM epsa WHERE id_epsa % 5 = 0; UPDATE localidad SET localidad = 'x'`);
    await rig.equal('deletes and a catalogue');
    await rig.change(`UPDATE epsa SET id_epsa = id_epsa + 100000 WHERE id_epsa % 7 = 0; TRUNCATE tecnica_as`);
    await rig.equal('key changes and a TRUNCATE');
    await rig.change(
      `INSERT INTO instalacion_fuente_financiamiento SELECT * FROM instalacion_fuente_financiamiento;
       DELETE FROM instalacion_fuente_financiamiento WHERE id_epsa % 4 = 0`,
    );
    await rig.equal('a table without a key');
    await rig.change(
      `UPDATE epsa SET observacion = (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 500) i) WHERE id_epsa % 2 = 0`,
    );
    await rig.change(
      `UPDATE epsa SET web = 'w' WHERE id_epsa % 2 = 0; UPDATE epsa SET id_epsa = id_epsa + 200000 WHERE id_epsa % 6 = 0`,
    );
    await rig.equal('TOASTed values that are not sent, over a key change');
    await until(async () => (await consumer.behind()) === 0, 'nothing to be counted as unread');
    assert.deepEqual(consumer.failures, []);
    await consumer.stop();
  });

  test('a replay of all topics changes nothing', async () => {
    const was = await state();
    await rig.sync.query(`UPDATE epsa_sync.checkpoint SET offsets = '{}'`);
    const consumer = rig.consumer('one');
    await until(() => consumer.wakes > 0, 'the consumer to read');
    await until(async () => {
      const { rows } = await rig.sync.query(`SELECT count(*)::int AS n FROM epsa_sync.mark`);
      return rows[0].n === 0;
    }, 'no marks');
    assert.deepEqual(await state(), was);
    await rig.change(`UPDATE sector SET sector = sector || '!'`);
    await rig.equal('changes after the replay');
    assert.deepEqual(consumer.failures, []);
    await consumer.stop();
  });

  test('the same instance started again takes over at once, and the old one ends without a trace', async () => {
    const first = rig.consumer('one');
    await rig.change(`UPDATE epsa SET sigla_epsa = 'a'`);
    await rig.equal('the first consumer');
    const second = rig.consumer('one');
    await first.done;
    assert.ok(
      first.failures[0] instanceof TokenLost || /terminat|closed|ECONNRESET/i.test(String(first.failures[0])),
      String(first.failures[0]),
    );
    await rig.change(`UPDATE epsa SET sigla_epsa = 'b'`);
    await rig.equal('the second consumer');
    assert.deepEqual(second.failures, []);
    await second.stop();
  });

  test('a standby follows when the active one gives the token back', async () => {
    const first = rig.consumer('one');
    await rig.change(`UPDATE epsa SET sigla_epsa = 'c'`);
    await rig.equal('the first');
    const standby = rig.consumer('two');
    await first.stop();
    await rig.change(`UPDATE epsa SET sigla_epsa = 'd'`);
    await rig.equal('the standby');
    await standby.stop();
  });

  test('sessions that are ended at any moment lose and double nothing', async () => {
    const consumer = rig.consumer('one', true);
    let killed = 0;
    const traffic = (async () => {
      for (let i = 0; killed < 6; i++) {
        await rig.change(
          `UPDATE representante SET cargo = '${i}' WHERE id_representante % 10 = ${i % 10};
           INSERT INTO instalacion_fuente_financiamiento SELECT * FROM instalacion_fuente_financiamiento LIMIT 5;
           UPDATE epsa SET fax = '${i}' WHERE id_epsa % 3 = ${i % 3}`,
        );
        // Traffic that the slowest machine can follow.
        await pause(50);
      }
    })();
    for (; killed < 6; killed++) {
      const wakes = consumer.wakes;
      await until(() => consumer.wakes > wakes + 2, 'progress', 30_000);
      await rig.sync.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
      );
    }
    await traffic;
    await rig.equal('the end of the traffic');
    assert.ok(consumer.failures.length >= 6);
    await consumer.stop();
  });

  test('events that Kafka has lost freeze the replica until a full snapshot has replaced it', async () => {
    const kafka = new Kafka({ brokers: [rig.source.broker], logLevel: logLevel.NOTHING });
    await rig.change(`UPDATE sector SET sector = 'lost'`);
    const topic = `${rig.source.topicPrefix}.public.sector`;
    const admin = kafka.admin();
    await admin.connect();
    const ends = async () => (await admin.fetchTopicOffsets(topic))[0]!.high;
    const { rows } = await rig.sync.query(`SELECT offsets->>$1 AS next FROM epsa_sync.checkpoint`, [topic]);
    await until(async () => BigInt(await ends()) > BigInt(rows[0].next) + 5n, 'the events in the topic');
    await rig.change(`UPDATE sector SET sector = 'later'`);
    await admin.deleteTopicRecords({
      topic,
      partitions: [{ partition: 0, offset: String(BigInt(rows[0].next) + 3n) }],
    });
    await admin.disconnect();
    const consumer = rig.consumer('one', true);
    await until(() => consumer.failures.length > 0, 'the loss to be noticed', 60_000);
    await rig.equal('the full snapshot');
    assert.ok(
      consumer.failures.some((error) => error instanceof BrokenHistory),
      String(consumer.failures),
    );
    await rig.change(`UPDATE epsa SET sigla_epsa = 'e'`);
    await rig.equal('what came after it');
    await consumer.stop();
  });
});
