import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BrokenHistory } from '../../src/producer/change-stream.ts';
import { Chunk } from '../../src/producer/chunk.ts';
import { DeliveredXids } from '../../src/producer/delivered-xids.ts';
import type { PendingRequest } from '../../src/producer/position.ts';
import { fakeWriter, relationOf, START, StreamUnderTest, shapeOf } from './fake-writer.ts';
import * as message from './pgoutput-messages.ts';

const A = shapeOf('a', ['id', 'v']);
const B = shapeOf('b', ['id']);
const describeA = message.relation(relationOf(1, A));
const describeB = message.relation(relationOf(2, B));

const REQUEST: PendingRequest = {
  id: 'r1',
  kind: 'snapshot',
  connector: 'epsa',
  tables: ['public.a'],
  keys: null,
  begun: false,
  table: 0,
  after: null,
  shape: null,
  chunks: 0,
  rows: 0,
};

function under(position = START): StreamUnderTest {
  const made = new StreamUnderTest(position);
  made.know(A, B);
  return made;
}

describe('the stream of changes', () => {
  test('writes a transaction between BEGIN and END, with counts and orders, and the position behind its commit', () => {
    const tried = under();
    tried.receive(
      message.begin(7, 0x200n, 5_000),
      describeA,
      message.insert(1, ['1', 'x']),
      describeB,
      message.insert(2, ['9']),
      message.update(1, null, ['1', undefined]),
      message.update(1, ['1', null], ['2', 'y']),
      message.remove(1, ['2', null]),
      message.truncate(1, 2),
    );
    assert.equal(tried.committed(), null);
    tried.receive(message.commit(0x200n, 0x230n));
    const { records, events, position } = tried.committed()!;
    const id = '7:512';
    const common = { history: 1, seq: '11', kind: 'stream', id, tsMs: 5_000, snapshot: null };
    assert.deepEqual(records, [
      { ...common, status: 'BEGIN', eventCount: null, dataCollections: null, endLsn: '512' },
      {
        ...common,
        status: 'END',
        eventCount: 7,
        dataCollections: [
          { dataCollection: 'public.a', eventCount: 5 },
          { dataCollection: 'public.b', eventCount: 2 },
        ],
        endLsn: '560',
      },
    ]);
    assert.deepEqual(
      events.a!.map(({ op, before, after, order, transaction }) => [op, before, after, order, transaction]),
      [
        ['c', null, ['1', 'x'], [1, 1], id],
        // A placeholder is undefined, which JSON writes as null.
        ['u', null, ['1', null], [3, 2], id],
        ['u', ['1', null], ['2', 'y'], [4, 3], id],
        ['d', ['2', null], null, [5, 4], id],
        ['t', null, null, [6, 5], id],
      ],
    );
    assert.deepEqual(
      events.b!.map(({ op, order }) => [op, order]),
      [
        ['c', [2, 1]],
        ['t', [7, 2]],
      ],
    );
    assert.deepEqual(position, {
      ...START,
      seq: 11n,
      end_lsn: 0x230n,
      last: { txId: 7, commit_lsn: 0x200n, commit_ts: 5_000 },
      unseen: [7],
    });
  });

  test('counts its units without a gap, empty transactions not at all', () => {
    const tried = under();
    tried.receive(message.begin(7, 0x200n), describeA, message.insert(1, ['1', '']), message.commit(0x200n, 0x208n));
    tried.receive(message.begin(8, 0x210n), message.commit(0x210n, 0x218n));
    tried.stream.publishSnapshotBound('BEGIN', REQUEST, [{ ...REQUEST, begun: true }]);
    tried.stream.publishChunk(tried.writers.get(A.fingerprint)!, [message.tuple(['1', ''])], false, [], []);
    tried.stream.publishChunk(tried.writers.get(A.fingerprint)!, [], false, [], []);
    tried.stream.publishSnapshotBound('END', REQUEST, []);
    tried.receive(message.begin(9, 0x220n), message.insert(1, ['2', '']), message.commit(0x220n, 0x228n));
    const { records, position } = tried.committed()!;
    assert.deepEqual(
      records.map(({ status, kind, seq, eventCount }) => `${status} ${kind} ${seq} ${eventCount}`),
      [
        'BEGIN stream 11 null',
        'END stream 11 1',
        'BEGIN snapshot 12 null',
        'BEGIN chunk 13 null',
        'END chunk 13 1',
        'BEGIN chunk 14 null',
        'END chunk 14 0',
        'END snapshot 15 null',
        'BEGIN stream 16 null',
        'END stream 16 1',
      ],
    );
    assert.deepEqual(records.at(-1)!.dataCollections, [{ dataCollection: 'public.a', eventCount: 1 }]);
    assert.deepEqual(records[2]!.snapshot, { requestId: 'r1', connector: 'epsa', tables: ['public.a'] });
    assert.equal(position.seq, 16n);
    assert.deepEqual(position.requests, []);
  });

  test('a chunk empties a table without a key first, and deletes what is absent before it brings rows', () => {
    const tried = under();
    const writer = tried.writers.get(A.fingerprint)!;
    tried.stream.publishChunk(writer, [message.tuple(['1', 'x'])], true, [message.tuple(['5', null])], [REQUEST]);
    const { events, position, records } = tried.committed()!;
    assert.deepEqual(
      events.a!.map(({ op, before, after, transaction }) => [op, before, after, transaction]),
      [
        ['t', null, null, 'chunk:1:11'],
        ['d', ['5', null], null, 'chunk:1:11'],
        ['r', null, ['1', 'x'], 'chunk:1:11'],
      ],
    );
    assert.deepEqual(records[1]!.dataCollections, [{ dataCollection: 'public.a', eventCount: 3 }]);
    assert.deepEqual([position.end_lsn, position.requests, position.last], [START.end_lsn, [REQUEST], null]);
  });

  test('tells which tables are no longer what they were, and writes their events accordingly from there on', () => {
    const tried = under();
    const next = fakeWriter({ ...A, fingerprint: 'another-era' });
    tried.receive(message.begin(5, 0x200n), describeA, message.insert(1, ['1', 'x']), message.commit(0x200n, 0x208n));
    const chunk = new Chunk('public.a', 1_000);
    tried.stream.watch(chunk);
    const snapshot = { xmin: 10n, xmax: 20n, inProgress: new Set<bigint>() };
    assert.ok(chunk.arrive({ shape: A, rows: [], snapshot, barrier: 0n }, new DeliveredXids()));
    tried.stream.turn([
      { name: 'public.a', oid: 1, writer: next },
      { name: 'public.b', oid: null, writer: null },
    ]);
    assert.equal(chunk.fits, false, 'what was read before is read again');
    const { records, position } = tried.committed()!;
    const { kind, seq, shapes } = records.at(-1)!;
    assert.deepEqual([kind, seq, position.seq], ['shape', '12', 12n]);
    assert.deepEqual(shapes, [
      { table: 'public.a', fingerprint: 'another-era' },
      { table: 'public.b', fingerprint: null },
    ]);
    const held = new Chunk('public.a', 1_000);
    tried.stream.watch(held);
    assert.ok(held.arrive({ shape: A, rows: [], snapshot, barrier: 0n }, new DeliveredXids()));
    tried.receive(message.begin(25, 0x300n), message.insert(1, ['2', 'y']), message.commit(0x300n, 0x308n));
    assert.equal(held.fits, false, 'the event is of the new era');
  });

  test('skips exactly what lies below the position', () => {
    const last = { txId: 6, commit_lsn: 0xf0n, commit_ts: 0 };
    const tried = under({ ...START, end_lsn: 0x100n, last });
    tried.receive(message.begin(6, 0xf0n), describeA, message.insert(1, ['0', 'x']), message.commit(0xf0n, 0x100n));
    assert.equal(tried.committed(), null);
    assert.equal(tried.stream.passed, 0x100n);
    // A transaction may begin its commit at the very LSN where the last one ended.
    tried.receive(message.begin(5, 0x100n), message.insert(1, ['1', 'x']), message.commit(0x100n, 0x108n));
    const next = tried.committed();
    assert.ok(next, 'the transaction at the position is not skipped');
    assert.equal(next.events.a!.length, 1);
    assert.equal(next.position.seq, 11n);
  });

  test('goes on only where the last transaction below the position is the one that Kafka has', () => {
    const last = { txId: 6, commit_lsn: 0xf0n, commit_ts: 0 };
    const skip = (xid: number, lsn: bigint) => [message.begin(xid, lsn), message.commit(lsn, lsn + 8n)];
    const next = message.begin(8, 0x200n);
    under({ ...START, last }).receive(...skip(5, 0x80n), ...skip(6, 0xf0n), next);
    under({ ...START, last }).receive(next);
    assert.throws(() => under({ ...START, last }).receive(...skip(5, 0x80n), next), BrokenHistory);
    assert.throws(() => under({ ...START, last }).receive(...skip(6, 0xe0n), next), BrokenHistory);
    const quiet = under({ ...START, last });
    quiet.receive(...skip(7, 0xf0n));
    quiet.stream.keepalive('0/F8');
    assert.throws(() => quiet.stream.keepalive('0/100'), BrokenHistory);
  });

  test('is another past where a transaction of the same id and LSN was committed at another time', () => {
    const last = { txId: 6, commit_lsn: 0xf0n, commit_ts: 1_000 };
    const skip = (ms: number) => [message.begin(6, 0xf0n, ms), message.commit(0xf0n, 0xf8n, ms)];
    const next = message.begin(8, 0x200n);
    under({ ...START, last }).receive(...skip(1_000), next);
    assert.throws(() => under({ ...START, last }).receive(...skip(2_000), next), BrokenHistory);
  });

  test('is another past where the last transaction must come again and does not, or one comes where Kafka has none', () => {
    const last = { txId: 6, commit_lsn: 0xf0n, commit_ts: 0 };
    new StreamUnderTest({ ...START, last }, 0xf8n).stream.keepalive('0/100');
    assert.throws(() => new StreamUnderTest({ ...START, last }, 0xf0n).stream.keepalive('0/100'), BrokenHistory);
    const none = new StreamUnderTest(START, 0x80n);
    none.receive(message.begin(6, 0xf0n), message.commit(0xf0n, 0xf8n));
    assert.equal(none.stream.isContinuous, false);
    assert.throws(() => none.stream.keepalive('0/100'), BrokenHistory);
    const quiet = new StreamUnderTest(START, 0x80n);
    quiet.stream.keepalive('0/100');
    assert.equal(quiet.stream.isContinuous, true);
  });

  test('passes what the server says it has sent, but not within a transaction, and never back', () => {
    const tried = under();
    const { stream } = tried;
    stream.keepalive('0/180');
    assert.equal(stream.passed, 0x180n);
    stream.keepalive('0/170');
    assert.equal(stream.passed, 0x180n);
    tried.receive(message.begin(7, 0x200n));
    stream.keepalive('0/300');
    assert.equal(stream.passed, 0x180n);
    tried.receive(message.commit(0x200n, 0x208n));
    assert.equal(stream.passed, 0x208n);
  });

  test('moves the idle position over foreign WAL, empty transactions included, and writes it once', () => {
    const tried = under();
    tried.stream.advance();
    assert.equal(tried.committed(), null);
    tried.receive(message.begin(7, 0x200n), message.commit(0x200n, 0x208n));
    assert.equal(tried.committed(), null);
    tried.stream.advance();
    const { position, records } = tried.committed()!;
    assert.deepEqual([position.end_lsn, position.seq, position.last?.txId, records], [0x208n, 10n, 7, []]);
    tried.stream.advance();
    assert.equal(tried.committed(), null);
    tried.stream.keepalive('0/300');
    tried.stream.advance();
    assert.equal(tried.committed()!.position.end_lsn, 0x300n);
    tried.receive(message.begin(8, 0x300n));
    tried.stream.keepalive('0/400');
    tried.stream.advance();
    assert.equal(tried.committed(), null);
  });

  test('writes into each position from when on tables may be read', () => {
    const tried = under();
    tried.publicationStart.note([5], 77n);
    tried.stream.update({}, true);
    assert.deepEqual(tried.committed()!.position.published, { 5: '77' });
  });

  test('tells who watches what was delivered before: the transaction under way too, and those of an earlier run', () => {
    const tried = under({ ...START, unseen: [3] });
    tried.receive(message.begin(7, 0x200n), message.commit(0x200n, 0x208n), message.begin(8, 0x210n));
    const chunk = new Chunk('public.a', 1_000);
    assert.deepEqual(tried.stream.watch(chunk).list(), [3, 7, 8]);
    assert.deepEqual(tried.stream.delivered.list(), [3, 7]);
  });

  test('tells a chunk of its own table only, and no longer than it is watched', () => {
    const tried = under();
    const heard: string[] = [];
    const chunk = new (class extends Chunk {
      override change(xid: number, change: Parameters<Chunk['change']>[1]): void {
        heard.push(`${xid} ${change.op} ${change.shape}`);
      }
      override describe(shape: string): void {
        heard.push(shape);
      }
    })('public.a', 1_000);
    tried.stream.watch(chunk);
    const changes = [message.insert(1, ['1', '']), message.insert(2, ['1']), message.truncate(1)];
    tried.receive(message.begin(7, 0x200n), describeA, describeB, ...changes, message.commit(0x200n, 0x208n));
    tried.stream.publishChunk(tried.writers.get(A.fingerprint)!, [message.tuple(['1', ''])], true, [], []);
    tried.stream.unwatch(chunk);
    tried.receive(message.begin(8, 0x210n), describeA, ...changes);
    assert.deepEqual(heard, [A.fingerprint, `7 c ${A.fingerprint}`, `7 t ${A.fingerprint}`]);
  });

  test('asks for a relation that nobody knows, and goes on with what it is taught', () => {
    const tried = new StreamUnderTest();
    tried.stream.handle('0/1', message.begin(7, 0x200n));
    const unknown = tried.stream.handle('0/1', describeA);
    assert.equal(unknown!.table, 'a');
    tried.know(A);
    tried.stream.learn(unknown!, tried.writers.get(A.fingerprint)!);
    tried.receive(message.insert(1, ['1', '']), message.commit(0x200n, 0x208n));
    assert.equal(tried.committed()!.events.a!.length, 1);
  });

  test('what makes no sense is an error', () => {
    assert.throws(() => under().receive(message.commit(1n, 2n)), /without a BEGIN/);
    assert.throws(() => under().receive(message.begin(1, 0x200n), message.insert(1, ['1', ''])), /without describing/);
    assert.throws(() => under().receive(describeA, message.insert(1, ['1', ''])), /outside a transaction/);
  });
});
