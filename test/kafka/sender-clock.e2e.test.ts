import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { Kafka, logLevel } from 'kafkajs';
import { ensureTopics } from '../../src/kafka/admin.ts';
import { topicsFor } from '../../src/kafka/topics.ts';
import { testBroker } from '../support/kafka.ts';

const broker = await testBroker();

const HOUR = 3_600_000;

test('every topic takes records from a sender whose clock is hours ahead, or years behind', async () => {
  const kafka = new Kafka({ brokers: [broker.address], logLevel: logLevel.NOTHING });
  const topics = topicsFor(broker.topicPrefix);
  const limits = { replicationFactor: 1, transactionTimeoutMs: 20_000, maxMessageBytes: 1_000_000, retentionMs: HOUR };
  const config = { brokers: [broker.address], clientId: 'test', topicPrefix: broker.topicPrefix, ...limits };
  const table = topics.table('public', 'epsa');
  await ensureTopics(kafka, config, topics, [table]);
  const producer = kafka.producer();
  await producer.connect();
  after(() => producer.disconnect());
  for (const topic of [table, topics.transaction, topics.position, topics.signal, topics.deadLetters]) {
    for (const timestamp of [Date.now() + 2 * HOUR, Date.now() - 20_000 * HOUR]) {
      const messages = [{ key: 'k', value: 'v', timestamp: String(timestamp) }];
      const [sent] = await producer.send({ topic, messages });
      const off = Math.abs(Number(sent!.logAppendTime) - Date.now());
      assert.ok(off < HOUR / 2, `${topic}: the record bears the broker's time, not one ${off} ms away`);
    }
  }
});
