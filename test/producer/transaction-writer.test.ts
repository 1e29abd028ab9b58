import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Kafka, TopicMessages } from 'kafkajs';
import { Outgoing } from '../../src/producer/outgoing.ts';
import type { Position } from '../../src/producer/position.ts';
import { TransactionWriter } from '../../src/producer/transaction-writer.ts';
import { until } from '../support/until.ts';
import { START } from './fake-writer.ts';

/** A Kafka that notes what it is asked for, and may be made to wait or to fail. */
class FakeKafka {
  readonly calls: string[] = [];
  /** Called before each answer. */
  before: (call: string) => Promise<void> | void = () => undefined;

  async #call(text: string): Promise<void> {
    this.calls.push(text);
    await this.before(text);
  }

  producer(options: { transactionalId: string; transactionTimeout: number }) {
    const id = options.transactionalId.slice(-1);
    return {
      connect: async () => undefined,
      disconnect: () => this.#call(`${id} disconnect`),
      transaction: async () => {
        await this.#call(`${id} begin`);
        return {
          sendBatch: ({ topicMessages }: { topicMessages: TopicMessages[] }) =>
            this.#call(
              `${id} send ${topicMessages.map(({ topic, messages }) => `${topic}:${messages.map(({ key }) => key)}`).join(' ')}`,
            ),
          commit: () => this.#call(`${id} commit`),
          abort: () => this.#call(`${id} abort`),
        };
      },
    };
  }
}

function rig(transactionTimeoutMs = 60_000) {
  const kafka = new FakeKafka();
  const outgoing = new Outgoing(1_000, 2_000);
  const options = { transactionalIdPrefix: 'x', transactionTimeoutMs, positionTopic: 'position' };
  const writer = new TransactionWriter({ kafka: kafka as unknown as Kafka, ...options }, outgoing);
  const committed: bigint[] = [];
  const running = writer.run(
    () => undefined,
    ({ seq }: Position) => committed.push(seq),
  );
  running.catch(() => undefined);
  const put = (seq: number, ...sizes: number[]) => {
    for (const [i, size] of sizes.entries()) outgoing.add('t', { key: `${seq}.${i}`, value: Buffer.alloc(size) });
    outgoing.end({ ...START, seq: BigInt(seq) });
    writer.wake();
  };
  return { kafka, outgoing, writer, running, committed, put };
}

describe('writing transactions', () => {
  test('shuts out older producers by both ids before anything is written', async () => {
    const { kafka, writer } = rig();
    await writer.fence();
    assert.deepEqual(kafka.calls, ['a begin', 'a abort', 'b begin', 'b abort']);
  });

  test('takes turns between two ids, strictly one after the other, and shares a transaction while one is committing', async () => {
    const { kafka, writer, running, committed, put } = rig();
    const { promise, resolve } = Promise.withResolvers<void>();
    kafka.before = (call) => (call === 'a commit' ? promise : undefined);
    put(1, 10);
    await until(() => kafka.calls.includes('a commit'), 'the first commit');
    put(2, 10);
    put(3, 10);
    await new Promise((later) => setImmediate(later));
    assert.equal(kafka.calls.length, 3);
    assert.deepEqual([committed, writer.isIdle], [[], false]);
    resolve();
    await until(() => committed.length === 2, 'the second');
    put(4, 10);
    await until(() => committed.length === 3, 'the third');
    assert.deepEqual(committed, [1n, 3n, 4n]);
    assert.equal(writer.isIdle, true);
    assert.deepEqual(kafka.calls, [
      'a begin',
      'a send t:1.0 position:position',
      'a commit',
      'b begin',
      'b send t:2.0,3.0 position:position',
      'b commit',
      'a begin',
      'a send t:4.0 position:position',
      'a commit',
    ]);
    writer.stop();
    await running;
  });

  test('sends a large transaction in requests of one Kafka transaction, its position with the last', async () => {
    const { kafka, writer, running, committed, put } = rig();
    put(1, 500, 500, 500);
    await until(() => committed.length === 1, 'the commit');
    assert.deepEqual(kafka.calls, [
      'a begin',
      'a send t:1.0',
      'a send t:1.1',
      'a send t:1.2 position:position',
      'a commit',
    ]);
    writer.stop();
    await running;
  });

  test('aborts what has not ended when it is stopped', async () => {
    const { kafka, outgoing, writer, running, committed } = rig();
    for (let i = 0; i < 3; i++) outgoing.add('t', { key: `1.${i}`, value: Buffer.alloc(700) });
    writer.wake();
    await until(() => kafka.calls.length === 3, 'two requests');
    writer.stop();
    await running;
    assert.deepEqual([kafka.calls.at(-1), committed], ['a abort', []]);
  });

  for (const where of ['begin', 'send', 'commit']) {
    test(`ends with an error of ${where}: nothing is tried again`, async () => {
      const { kafka, running, committed, put } = rig();
      kafka.before = (call) => {
        if (call.includes(where)) throw new Error(`${where} failed`);
      };
      put(1, 10);
      await assert.rejects(running, { message: `${where} failed` });
      const calls = kafka.calls.length;
      put(2, 10);
      await new Promise((later) => setImmediate(later));
      assert.deepEqual([kafka.calls.length, committed], [calls, []]);
    });
  }

  test('names the setting where a transaction took too long', async () => {
    const { kafka, running, put } = rig(30);
    kafka.before = async (call) => {
      if (!call.includes('commit')) return;
      await new Promise((later) => setTimeout(later, 40));
      throw new Error('The producer attempted to use a producer id which is not assigned to its transactional id');
    };
    put(1, 10);
    await assert.rejects(running, /KAFKA_TRANSACTION_TIMEOUT \(30 ms\)/);
  });
});
