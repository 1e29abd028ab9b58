import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Tuple } from '../../src/kafka/tuple.ts';
import type { Lsn } from '../../src/postgres/lsn.ts';
import type { Chunk } from '../../src/producer/chunk.ts';
import {
  type ChunkReader,
  type Range,
  type ReadResult,
  TableNotPublished,
  TableTooNew,
} from '../../src/producer/chunk-reader.ts';
import type { PendingRequest } from '../../src/producer/position.ts';
import { SnapshotRunner } from '../../src/producer/snapshot-runner.ts';
import { StreamFeed } from '../../src/producer/stream-feed.ts';
import type { TableEncoders } from '../../src/producer/table-encoders.ts';
import { silent } from '../support/producer.ts';
import { until } from '../support/until.ts';
import { fakeWriter, relationOf, START, StreamUnderTest, shapeOf } from './fake-writer.ts';
import * as message from './pgoutput-messages.ts';

const A = shapeOf('a', ['id', 'v']);

function request(id: string, change: Partial<PendingRequest> = {}): PendingRequest {
  return {
    id,
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
    ...change,
  };
}

function result(rows: message.Texts[], change: Partial<ReadResult> = {}): ReadResult {
  return {
    shape: A,
    rows: rows.map((row) => message.tuple(row)),
    absent: [],
    unfit: 0,
    snapshot: { xmin: 10n, xmax: 20n, inProgress: new Set() },
    barrier: 0n,
    lastKey: (rows.at(-1)?.[0] as string | undefined)?.split('') ?? null,
    complete: true,
    ...change,
  };
}

/** A runner over a reader that answers what the test says, read by read. */
function rig(requests: PendingRequest[], answers: (ReadResult | Error | ((range: Range) => ReadResult | Error))[]) {
  const tried = new StreamUnderTest({ ...START, requests });
  tried.know(A);
  const reads: { table: string; range: Range }[] = [];
  const flushed: { lsn: Lsn; delayMs: number } = { lsn: 0n, delayMs: 0 };
  const ending = new AbortController();
  const feed = new StreamFeed({
    stream: tried.stream,
    resolve: () => assert.fail('no relation is unknown'),
    pause: () => undefined,
    resume: () => undefined,
    isFull: () => false,
    onHandled: () => undefined,
    onError: (error) => assert.fail(String(error)),
  });
  let served = 0;
  const runner = new SnapshotRunner({
    stream: tried.stream,
    reader: {
      read: async (schema: string, table: string, range: Range) => {
        reads.push({ table: `${schema}.${table}`, range });
        const answer = answers.shift() ?? assert.fail('one read too many');
        const given = typeof answer === 'function' ? answer(range) : answer;
        if (given instanceof Error) throw given;
        return given;
      },
      flushed: async () => flushed,
    } as unknown as ChunkReader,
    encoders: { forShape: async () => fakeWriter(A) } as unknown as TableEncoders,
    log: silent,
    between: (when, publish) => feed.between(when, publish),
    room: async () => undefined,
    onServed: () => served++,
    logLimit: 10_000,
    signal: ending.signal,
  });
  const send = (...messages: Buffer[]) => {
    for (const bytes of messages) feed.onMessage('0/1', bytes);
  };
  /** What went to Kafka, in the order of the transaction topic. */
  const published = () => {
    const all = tried.committed();
    const events = Object.values(all?.events ?? {}).flat();
    return (all?.records ?? [])
      .filter(({ kind, status }) => kind === 'snapshot' || status === 'END')
      .map(({ kind, status, id }) => {
        const own = events.filter((event) => event.transaction === id);
        const told = own.map(({ op, before, after }) => `${op}${(after ?? before ?? []).join()}`);
        return kind === 'snapshot' ? `${status} ${id.slice(9)}` : `${kind}: ${told.join(' ')}`;
      });
  };
  return { tried, runner, feed, reads, flushed, ending, send, published, served: () => served };
}

describe('serving requests', () => {
  test('a snapshot is its BEGIN, the chunks of its tables in order, and its END', async () => {
    const tables = ['public.a', 'public.b'];
    const { tried, runner, reads, published, served } = rig(
      [request('s', { tables })],
      [result([['1', 'x']], { complete: false }), result([['2', 'y']]), result([])],
    );
    await runner.drain();
    assert.deepEqual(published(), ['BEGIN s', 'chunk: r1,x', 'chunk: r2,y', 'chunk: ', 'END s']);
    assert.deepEqual(
      reads.map(({ table, range }) => [table, range.kind === 'following' && [range.after, range.shape]]),
      [
        ['public.a', [null, null]],
        ['public.a', [['1'], A.fingerprint]],
        ['public.b', [null, null]],
      ],
    );
    assert.deepEqual([tried.stream.position.requests, served()], [[], 1]);
  });

  test('a killed one goes on where it was, without another BEGIN', async () => {
    const first = rig([request('s')], [result([['1', 'x']], { complete: false }), new Error('killed')]);
    await assert.rejects(first.runner.drain(), /killed/);
    const [left] = first.tried.stream.position.requests;
    assert.deepEqual(
      [left!.begun, left!.after, left!.shape, left!.chunks, left!.rows],
      [true, ['1'], A.fingerprint, 1, 1],
    );
    const second = rig([left!], [result([['2', 'y']])]);
    await second.runner.drain();
    assert.deepEqual(second.published(), ['chunk: r2,y', 'END s']);
    assert.deepEqual(second.reads[0]!.range, { kind: 'following', after: ['1'], shape: A.fingerprint });
  });

  test('a chunk waits until the stream has passed its barrier, and holds what came meanwhile', async () => {
    const { runner, send, published, tried } = rig(
      [request('s', { begun: true })],
      [result([['1', 'x']], { barrier: 0x210n })],
    );
    const served = runner.drain();
    send(
      message.begin(15, 0x200n),
      message.relation(relationOf(1, A)),
      message.insert(1, ['7', 's']),
      message.commit(0x200n, 0x208n),
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(tried.stream.position.requests.length, 1);
    send(message.begin(25, 0x208n), message.update(1, null, ['1', 'y']));
    send(message.commit(0x208n, 0x210n));
    await served;
    assert.deepEqual(published(), ['stream: c7,s', 'stream: u1,y', 'chunk: r1,y', 'END s']);
  });

  test('an insert position that is not flushed is not waited for, but not before asynchronous commits must be', async () => {
    const { runner, flushed, published, feed } = rig(
      [request('s', { begun: true })],
      [result([['1', 'x']], { barrier: 0x400n })],
    );
    Object.assign(flushed, { lsn: 0x200n, delayMs: 600 });
    feed.onKeepalive('0/200');
    const began = performance.now();
    await runner.drain();
    assert.ok(performance.now() - began >= 600, `${performance.now() - began} ms`);
    assert.deepEqual(published(), ['chunk: r1,x', 'END s']);
  });

  test('rows that are asked for come in parts, and absent ones as deletions', async () => {
    const keys = Array.from({ length: 501 }, (_, i) => [String(i)]);
    const { tried, runner, reads, published } = rig(
      [request('r', { kind: 'rows', keys })],
      [result([['1', 'x']], { absent: [message.tuple(['0', null])] }), result([])],
    );
    await runner.drain();
    assert.deepEqual(published(), ['chunk: d0, r1,x', 'chunk: ']);
    assert.deepEqual(
      reads.map(({ range }) => range.kind === 'keys' && range.keys.length),
      [500, 1],
    );
    assert.deepEqual(tried.stream.position.requests, []);
  });

  test('a table without a key comes whole, once, emptied first', async () => {
    const bare = { ...A, key: [] };
    const { runner, published } = rig(
      [request('r', { kind: 'rows', keys: Array.from({ length: 1_200 }, (_, i) => [String(i), 'x']) })],
      [
        result(
          [
            ['1', 'x'],
            ['1', 'x'],
          ],
          { shape: bare },
        ),
      ],
    );
    await runner.drain();
    assert.deepEqual(published(), ['chunk: t r1,x r1,x']);
  });

  test('a chunk is read again where it lacks what the stream delivered before, also of the transaction under way', async () => {
    const seeing = { xmin: 30n, xmax: 30n, inProgress: new Set<bigint>() };
    const { runner, reads, send, published } = rig(
      [request('s', { begun: true })],
      [result([['1', 'old']]), result([['1', 'new']], { snapshot: seeing })],
    );
    send(message.begin(25, 0x200n), message.relation(relationOf(1, A)), message.update(1, null, ['1', 'new']));
    const served = runner.drain();
    await until(() => reads.length === 1, 'the first read');
    send(message.commit(0x200n, 0x208n));
    await served;
    assert.deepEqual(published(), ['stream: u1,new', 'chunk: r1,new', 'END s']);
  });

  test('a chunk is read again where its table has changed meanwhile, not where it had before', async () => {
    const older = shapeOf('a', ['id']);
    const { tried, runner, reads, send } = rig(
      [request('s', { begun: true })],
      [result([['1', 'x']], { barrier: 0x210n }), result([['1', 'x']])],
    );
    tried.know(older);
    const watched = new Set<Chunk>();
    const { stream } = tried;
    const [watch, unwatch] = [stream.watch.bind(stream), stream.unwatch.bind(stream)];
    stream.watch = (chunk) => {
      watched.add(chunk);
      return watch(chunk);
    };
    stream.unwatch = (chunk) => {
      watched.delete(chunk);
      unwatch(chunk);
    };
    send(message.begin(5, 0x200n), message.relation(relationOf(1, older)), message.commit(0x200n, 0x208n));
    const served = runner.drain();
    await until(() => reads.length === 1, 'the first read');
    // The stream is behind: it still tells of the table as it was before the read.
    send(message.begin(6, 0x208n), message.relation(relationOf(1, older)), message.commit(0x208n, 0x210n));
    await served;
    assert.deepEqual([reads.length, watched.size], [2, 0]);
  });

  const code = (value: string) => Object.assign(new Error(value), { code: value });

  test('what cannot be read now is tried again', async () => {
    const { runner, reads, published } = rig(
      [request('s', { begun: true })],
      [code('55P03'), new TableTooNew('open'), new TableNotPublished('not yet'), code('42P01'), result([['1', 'x']])],
    );
    await runner.drain();
    assert.equal(reads.length, 5);
    assert.deepEqual(published(), ['chunk: r1,x', 'END s']);
  });

  test('and lets others go first meanwhile, but no snapshot of the same connector', async () => {
    const { runner, published } = rig(
      [
        request('s', { begun: true }),
        request('t'),
        request('r', { kind: 'rows', keys: [['9']] }),
        request('o', { connector: 'other' }),
      ],
      [
        code('42P01'),
        result([['9', 'z']]),
        code('42P01'),
        result([['8', 'o']]),
        result([['1', 's']]),
        result([['1', 't']]),
      ],
    );
    await runner.drain();
    assert.deepEqual(published(), [
      'chunk: r9,z',
      'BEGIN o',
      'chunk: r8,o',
      'END o',
      'chunk: r1,s',
      'END s',
      'BEGIN t',
      'chunk: r1,t',
      'END t',
    ]);
  });

  test('rows that can never be read are dropped, and the rest goes on', async () => {
    const bad = (id: string) => request(id, { kind: 'rows', keys: [['x']] });
    const { tried, runner, published, served } = rig(
      [bad('a'), bad('b'), bad('c'), request('r', { kind: 'rows', keys: [['9']] })],
      [code('22P02'), new TableNotPublished('gone'), code('42P01'), result([['9', 'z']])],
    );
    await runner.drain();
    assert.deepEqual(published(), ['chunk: r9,z']);
    assert.deepEqual([tried.stream.position.requests, served()], [[], 4]);
  });

  test('one whose place a newer one has taken is left, also while its table cannot be read', async () => {
    const { tried, runner, published } = rig(
      [request('old', { begun: true })],
      [new TableNotPublished('gone'), result([['1', 'x']])],
    );
    const served = runner.drain();
    tried.stream.update({ requests: [request('new')] }, true);
    await served;
    assert.deepEqual(published(), ['BEGIN new', 'chunk: r1,x', 'END new']);
  });

  test('another error ends it', async () => {
    const { runner } = rig([request('s')], [code('57P01')]);
    await assert.rejects(runner.drain(), /57P01/);
  });

  test('it ends at once when it is told to, in whatever it waits for', async () => {
    const waiting: (ReadResult | Error)[][] = [[code('55P03')], [result([['1', 'x']], { barrier: 0x900n })]];
    for (const answers of waiting) {
      const { runner, ending, reads, feed } = rig([request('s', { begun: true })], answers);
      let reason: unknown;
      runner.drain().catch((error: unknown) => {
        reason = error;
      });
      await until(() => reads.length === 1, 'the read');
      await new Promise((resolve) => setImmediate(resolve));
      ending.abort(new Error('over'));
      feed.end(new Error('over'));
      await new Promise((resolve) => setImmediate(resolve));
      assert.match(String(reason), /over/);
    }
  });

  test('a chunk whose rows do not fit is no half of one', async () => {
    const wrong: Tuple = Buffer.from([0, 9]);
    const { runner, tried } = rig([request('s', { begun: true })], [result([], { rows: [wrong] })]);
    await assert.rejects(runner.drain());
    assert.equal(tried.committed(), null);
  });
});
