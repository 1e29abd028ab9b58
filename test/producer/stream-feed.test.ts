import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RelationMessage } from '../../src/producer/pgoutput.ts';
import { StreamFeed } from '../../src/producer/stream-feed.ts';
import type { TableWriter } from '../../src/producer/table-encoders.ts';
import { fakeWriter, relationOf, StreamUnderTest, shapeOf } from './fake-writer.ts';
import * as message from './pgoutput-messages.ts';

const A = shapeOf('a', ['id']);
const B = shapeOf('b', ['id']);

/** A feed with a socket, and relations that are resolved when the test says so. */
class Rig {
  readonly tried = new StreamUnderTest();
  readonly resolving: { relation: RelationMessage; resolve(writer: TableWriter): void; reject(error: Error): void }[] =
    [];
  readonly errors: unknown[] = [];
  /** The socket, paused as it is when a feed is made. */
  flowing = false;
  full = false;
  handled = 0;
  readonly feed: StreamFeed;

  constructor() {
    this.feed = new StreamFeed({
      stream: this.tried.stream,
      resolve: (relation) => {
        const { promise, resolve, reject } = Promise.withResolvers<TableWriter>();
        this.resolving.push({ relation, resolve, reject });
        return promise;
      },
      pause: () => {
        this.flowing = false;
      },
      resume: () => {
        this.flowing = true;
      },
      isFull: () => this.full,
      onHandled: () => this.handled++,
      onError: (error) => this.errors.push(error),
    });
    this.feed.roomAgain();
  }

  send(...messages: Buffer[]): void {
    for (const bytes of messages) {
      const lent = Buffer.from(bytes);
      this.feed.onMessage('0/1', lent);
      lent.fill(0xee);
    }
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const describeA = message.relation(relationOf(1, A));
const describeB = message.relation(relationOf(2, B));

describe('the feed of the stream', () => {
  test('keeps the order while a relation is being resolved, keepalives included, and stops the socket', async () => {
    const rig = new Rig();
    rig.send(message.begin(7, 0x200n), describeA);
    assert.equal(rig.flowing, false);
    assert.equal(rig.feed.isCaughtUp, false);
    // What the socket had read already still comes, and is not lost when its buffer is used again.
    rig.send(message.insert(1, ['1']), describeB, message.insert(2, ['2']), message.commit(0x200n, 0x208n));
    rig.feed.onKeepalive('0/300');
    rig.send(message.begin(8, 0x300n), message.insert(1, ['3']), message.commit(0x300n, 0x308n));
    rig.feed.onKeepalive('0/400');
    assert.equal(rig.tried.stream.passed, 0n);

    rig.resolving[0]!.resolve(fakeWriter(A));
    await settled();
    assert.deepEqual(
      rig.resolving.map(({ relation }) => relation.table),
      ['a', 'b'],
    );
    assert.deepEqual([rig.flowing, rig.tried.stream.passed], [false, 0n]);
    rig.resolving[1]!.resolve(fakeWriter(B));
    await settled();
    assert.deepEqual([rig.flowing, rig.feed.isCaughtUp, rig.tried.stream.passed], [true, true, 0x400n]);
    const { events, records } = rig.tried.committed()!;
    assert.deepEqual(
      events.a!.map(({ after }) => after),
      [['1'], ['3']],
    );
    assert.deepEqual(
      events.b!.map(({ after }) => after),
      [['2']],
    );
    assert.deepEqual(
      records.map(({ seq }) => seq),
      ['11', '11', '12', '12'],
    );
    assert.deepEqual(rig.errors, []);
  });

  test('stops the socket where too much waits for Kafka, and starts it again when there is room', () => {
    const rig = new Rig();
    rig.full = true;
    rig.send(message.begin(7, 0x200n));
    assert.equal(rig.flowing, false);
    // What the socket had read already is handled all the same.
    rig.send(message.commit(0x200n, 0x208n));
    assert.equal(rig.tried.stream.passed, 0x208n);
    rig.feed.roomAgain();
    assert.equal(rig.flowing, false);
    rig.full = false;
    rig.feed.roomAgain();
    assert.equal(rig.flowing, true);
  });

  test('does not start the socket for room while a relation is being resolved, nor for a relation without room', async () => {
    const rig = new Rig();
    rig.send(message.begin(7, 0x200n), describeA);
    rig.feed.roomAgain();
    assert.equal(rig.flowing, false);
    rig.full = true;
    rig.resolving[0]!.resolve(fakeWriter(A));
    await settled();
    assert.equal(rig.flowing, false);
    rig.full = false;
    rig.feed.roomAgain();
    assert.equal(rig.flowing, true);
  });

  test('runs what waits for a place between transactions there, in order, each as soon as it may', async () => {
    const rig = new Rig();
    const ran: string[] = [];
    const note = (name: string) => () => `${name}:${ran.push(name)}`;
    rig.send(message.begin(7, 0x200n));
    const first = rig.feed.between(() => rig.tried.stream.passed >= 0x300n, note('late'));
    const second = rig.feed.between(() => true, note('next'));
    assert.deepEqual(ran, []);
    rig.send(message.commit(0x200n, 0x208n));
    assert.deepEqual(ran, ['next']);
    rig.send(message.begin(8, 0x2f8n), message.commit(0x2f8n, 0x300n));
    assert.deepEqual([await first, await second], ['late:2', 'next:1']);
    assert.equal(await rig.feed.between(() => true, note('at once')), 'at once:3');
  });

  test('gives an error of what it ran to who waits for it, and goes on', async () => {
    const rig = new Rig();
    const failing = rig.feed.between(
      () => true,
      () => {
        throw new Error('no');
      },
    );
    await assert.rejects(failing, /no/);
    assert.equal(
      await rig.feed.between(
        () => true,
        () => 1,
      ),
      1,
    );
  });

  test('rejects at its end who waits, and who comes later, and handles nothing more', async () => {
    const rig = new Rig();
    const waiting = rig.feed.between(
      () => false,
      () => 1,
    );
    rig.feed.end(new Error('over'));
    await assert.rejects(waiting, /over/);
    await assert.rejects(
      rig.feed.between(
        () => true,
        () => 1,
      ),
      /over/,
    );
    rig.send(message.begin(7, 0x200n), message.commit(0x200n, 0x208n));
    rig.feed.onKeepalive('0/300');
    assert.equal(rig.tried.stream.passed, 0n);
  });

  test('tells of a relation that cannot be resolved, and handles nothing after it', async () => {
    const rig = new Rig();
    rig.send(message.begin(7, 0x200n), describeA, message.insert(1, ['1']), message.commit(0x200n, 0x208n));
    rig.resolving[0]!.reject(new Error('registry down'));
    await settled();
    assert.match(String(rig.errors[0]), /registry down/);
    assert.equal(rig.errors.length, 1);
    assert.deepEqual([rig.flowing, rig.tried.stream.passed], [false, 0n]);
  });
});
