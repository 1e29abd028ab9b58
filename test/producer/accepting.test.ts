import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodeSignal, type Signal } from '../../src/kafka/signal.ts';
import { Accepting } from '../../src/producer/accepting.ts';
import { ACCEPTED_KEPT } from '../../src/producer/position.ts';
import { silent } from '../support/producer.ts';
import { START, StreamUnderTest } from './fake-writer.ts';

const snapshot = (id: string): Signal => ({ id, kind: 'snapshot', connector: 'epsa', tables: ['public.epsa'] });
const rows = (id: string, bytes: number): Signal => ({
  id,
  kind: 'rows',
  connector: 'epsa',
  table: 'public.epsa',
  keys: [['x'.repeat(bytes)]],
});

function rig(position = START, limit = 10_000) {
  const tried = new StreamUnderTest(position);
  let accepted = 0;
  const accepting = new Accepting({
    stream: tried.stream,
    log: silent,
    between: async (_, act) => act(),
    limit,
    onAccepted: () => accepted++,
    onError: (error) => assert.fail(String(error)),
  });
  const take = (from: number, ...signals: (Signal | string)[]) =>
    accepting.take(
      signals.map((signal, i) => ({
        offset: String(from + i),
        value: Buffer.from(typeof signal === 'string' ? signal : encodeSignal(signal).value),
      })),
    );
  return {
    tried,
    accepting,
    take,
    ids: () => tried.stream.position.requests.map(({ id }) => id),
    offset: () => tried.stream.position.signal_offset,
    accepted: () => accepted,
  };
}

describe('accepting signals', () => {
  test('writes each id once, in order, with the offset behind the last', () => {
    const { tried, take, ids, offset, accepted } = rig();
    take(40, snapshot('a'), snapshot('a'), 'nonsense', rows('b', 3));
    take(44, snapshot('a'), rows('b', 9));
    assert.deepEqual([ids(), offset(), accepted()], [['a', 'b'], '46', 1]);
    const { position } = tried.committed()!;
    assert.deepEqual(
      [position.accepted, position.requests.map(({ id }) => id), position.seq],
      [['a', 'b'], ['a', 'b'], 10n],
    );
    assert.deepEqual(
      [position.requests[0]!.keys, position.requests[1]!.keys, position.requests[1]!.tables],
      [null, [['xxx']], ['public.epsa']],
    );
  });

  test('a newer snapshot of a connector takes the place of an older one, which may never be served', () => {
    const { take, ids, offset } = rig();
    take(1, snapshot('a'), rows('b', 3), { ...snapshot('c'), connector: 'other' } as Signal, snapshot('d'));
    assert.deepEqual([ids(), offset()], [['b', 'c', 'd'], '5']);
  });

  test('moves over what is none without writing', () => {
    const { tried, take, offset } = rig();
    take(0, 'nonsense', '{}');
    assert.equal(offset(), '2');
    assert.equal(tried.committed(), null);
  });

  test('does not accept again what an earlier run accepted, nor what still waits to be served', () => {
    const known = rig({ ...START, accepted: ['a'] });
    known.take(0, snapshot('a'), snapshot('b'));
    assert.deepEqual(known.ids(), ['b']);
    // An id that is forgotten among the accepted ones, but not served yet.
    const waiting = rig({ ...START, requests: known.tried.stream.position.requests });
    waiting.take(0, snapshot('b'));
    assert.deepEqual(waiting.ids(), ['b']);
  });

  test('remembers a bounded number of ids', () => {
    const { tried, take } = rig(START, 1_000_000);
    take(0, ...Array.from({ length: ACCEPTED_KEPT + 20 }, (_, i) => snapshot(`s${i}`)));
    assert.equal(tried.stream.position.accepted.length, ACCEPTED_KEPT);
    assert.equal(tried.stream.position.accepted.at(-1), `s${ACCEPTED_KEPT + 19}`);
  });

  test('lets requests wait in their topic where the position holds enough, but takes a large one alone', () => {
    const { tried, accepting, take, ids, offset, accepted } = rig();
    take(0, rows('a', 20_000), rows('b', 4_000), rows('c', 4_000), rows('d', 4_000));
    assert.deepEqual([ids(), offset()], [['a'], '1']);
    take(4, snapshot('e'));
    assert.deepEqual([ids(), offset()], [['a'], '1']);
    tried.stream.update({ requests: [] }, true);
    accepting.accept();
    assert.deepEqual([ids(), offset()], [['b', 'c'], '3']);
    tried.stream.update({ requests: [] }, true);
    accepting.accept();
    assert.deepEqual([ids(), offset(), accepted()], [['d', 'e'], '5', 3]);
  });
});
