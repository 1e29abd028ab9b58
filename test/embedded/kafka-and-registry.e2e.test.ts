import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Kafka, logLevel } from 'kafkajs';
import { testBroker, testRegistry } from '../support/kafka.ts';
import { until } from '../support/until.ts';

describe('a Kafka broker of our own', () => {
  it('keeps its topics and comes back on the same port when it is killed', async () => {
    const { address, topicPrefix, broker } = await testBroker({ own: true });
    const admin = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING, retry: { retries: 20 } }).admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: `${topicPrefix}.a` }] });
    const before = broker!.pid;
    broker!.part.kill('SIGKILL');
    await until(() => broker!.pid !== undefined && broker!.pid !== before, 'a new process');
    await broker!.part.whenReady();
    assert.deepEqual(
      (await admin.listTopics()).filter((topic) => topic.startsWith(topicPrefix)),
      [`${topicPrefix}.a`],
    );
    await admin.disconnect();
  });

  it('makes no topic by itself', async () => {
    const { address, topicPrefix } = await testBroker();
    const kafka = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING, retry: { retries: 0 } });
    const producer = kafka.producer({ allowAutoTopicCreation: true });
    await producer.connect();
    await assert.rejects(producer.send({ topic: `${topicPrefix}.none`, messages: [{ value: 'x' }] }));
    await producer.disconnect();
  });
});

describe('a schema registry of our own', () => {
  it("answers Confluent's API", async () => {
    const { url } = await testRegistry();
    const answer = await fetch(`${url}/subjects`);
    assert.equal(answer.status, 200);
    assert.ok(Array.isArray(await answer.json()));
  });
});
