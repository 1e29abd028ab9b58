import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  brokenHistory,
  decodePosition,
  encodePosition,
  newHistory,
  type Position,
  type SourceIdentity,
} from '../../src/producer/position.ts';

const POSITION: Position = {
  history: 3,
  seq: 2n ** 60n + 1n,
  systemIdentifier: '7500000000000000001',
  timeline: 2,
  slot: 'ranura',
  publication: 'publicación',
  end_lsn: 2n ** 63n + 5n,
  last: { txId: 4_294_967_295, commit_lsn: 2n ** 63n + 1n, commit_ts: 1_700_000_000_123 },
  signal_offset: '9007199254740993',
  accepted: ['a', 'b'],
  requests: [
    {
      id: 'r',
      kind: 'rows',
      connector: 'epsa',
      tables: ['public.epsa'],
      keys: [['1', "ñ'\\"]],
      begun: false,
      table: 0,
      after: ['x'],
      shape: 'f',
      chunks: 1,
      rows: 2,
    },
  ],
  unseen: [4_294_967_295, 7],
  published: { '16384': '0', '4294967295': '8589934600' },
  eras: {},
};

const SOURCE: SourceIdentity = {
  systemIdentifier: POSITION.systemIdentifier,
  timeline: 2,
  slot: 'ranura',
  publication: 'publicación',
  confirmedLsn: POSITION.end_lsn - 100n,
  flushLsn: POSITION.end_lsn + 100n,
};

describe('the position', () => {
  test('is read as it was written, every bit of it', () => {
    assert.deepEqual(decodePosition(encodePosition(POSITION)), POSITION);
    const none = { ...POSITION, last: null, accepted: [], requests: [], unseen: [], published: {} };
    assert.deepEqual(decodePosition(encodePosition(none)), none);
  });

  test("has PostgreSQL's own text of LSNs", () => {
    const json = JSON.parse(encodePosition(POSITION));
    assert.deepEqual(
      [json.end_lsn, json.last.commit_lsn, json.seq],
      ['80000000/5', '80000000/1', '1152921504606846977'],
    );
  });

  test('that is none is an error', () => {
    assert.throws(() => decodePosition('{}'), /not a position/);
    assert.throws(() => decodePosition('{'), SyntaxError);
    assert.throws(() => decodePosition(encodePosition(POSITION).replace('80000000/5', '5')));
  });

  test('goes on where the slot, the server and its WAL are those that it was written with', () => {
    assert.equal(brokenHistory(POSITION, SOURCE), null);
    const exact = { ...SOURCE, confirmedLsn: POSITION.end_lsn, flushLsn: POSITION.end_lsn };
    assert.equal(brokenHistory(POSITION, exact), null);
  });

  test('does not where anything between would be missing', () => {
    const broken: [Partial<SourceIdentity>, RegExp][] = [
      [{ systemIdentifier: '1' }, /another server/],
      [{ slot: 'otra' }, /slot is another/],
      [{ confirmedLsn: POSITION.end_lsn + 1n }, /beyond/],
      [{ flushLsn: POSITION.end_lsn - 1n }, /restored/],
    ];
    for (const [change, reason] of broken)
      assert.match(brokenHistory(POSITION, { ...SOURCE, ...change }) ?? '', reason);
  });

  test('of a new history begins at the slot, and accepts no request again', () => {
    const first = newHistory(SOURCE, null);
    assert.deepEqual(
      [first.history, first.seq, first.end_lsn, first.last, first.signal_offset, first.unseen, first.published],
      [1, 0n, SOURCE.confirmedLsn, null, '0', [], {}],
    );
    const next = newHistory(SOURCE, POSITION);
    assert.deepEqual(
      [next.history, next.seq, next.signal_offset, next.accepted, next.requests],
      [4, 0n, POSITION.signal_offset, ['a', 'b'], []],
    );
  });
});
