import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Message } from 'kafkajs';
import { Outgoing, type Piece } from '../../src/producer/outgoing.ts';
import type { Position } from '../../src/producer/position.ts';

const MESSAGE_LIMIT = 1_000;
const PIECE_LIMIT = 3_000;
/** Two pieces: where the stream is stopped. */
const FULL = 2 * PIECE_LIMIT;

const at = (seq: number): Position => ({ seq: BigInt(seq) }) as Position;
const bytesOf = ({ value }: Message): number => (value as Buffer).length;

/** What Kafka gets: the messages of each Kafka transaction, with the position that it ends with. */
class Sink {
  readonly transactions: { topics: Map<string, string[]>; seq: bigint }[] = [];
  #open = new Map<string, string[]>();
  readonly #outgoing: Outgoing;

  constructor(outgoing: Outgoing) {
    this.#outgoing = outgoing;
  }

  take(): Piece | null {
    const piece = this.#outgoing.take();
    if (!piece) return null;
    for (const [topic, messages] of piece.messages) {
      const bytes = messages.reduce((sum, message) => sum + bytesOf(message), 0);
      assert.ok(bytes <= MESSAGE_LIMIT, `${bytes} bytes for one topic`);
      const texts = this.#open.get(topic) ?? [];
      for (const { key } of messages) texts.push(String(key));
      this.#open.set(topic, texts);
    }
    if (piece.ends) {
      this.transactions.push({ topics: this.#open, seq: piece.ends.seq });
      this.#open = new Map();
    }
    return piece;
  }
}

const messages = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 0, max: 850 })), {
  maxLength: 40,
});
/** Transactions, and after how many messages each time something is taken. */
const schedule = fc.tuple(fc.array(messages, { maxLength: 15 }), fc.array(fc.integer({ min: 1, max: 60 })));

describe('what waits for Kafka', () => {
  test('goes there whole, once, in order, and never in two halves', () => {
    fc.assert(
      fc.property(schedule, ([transactions, pauses]) => {
        const outgoing = new Outgoing(MESSAGE_LIMIT, PIECE_LIMIT);
        const sink = new Sink(outgoing);
        const expected = new Map<string, string[]>();
        const ends = new Map<bigint, number>();
        let count = 0;
        let wait = pauses[0] ?? 10;
        let turn = 0;
        const flying: Piece[] = [];
        transactions.forEach((events, number) => {
          for (const [topic, size] of events) {
            const key = `${number}:${count++}`;
            outgoing.add(topic, { key: Buffer.from(key), value: Buffer.alloc(size) });
            expected.set(topic, [...(expected.get(topic) ?? []), key]);
            // Where it is full and nothing is being sent, there is something to send: nobody waits for ever.
            if (outgoing.bytes >= FULL && flying.length === 0) {
              const piece = sink.take();
              assert.ok(piece, 'full, and nothing to take');
              flying.push(piece);
            }
            if (--wait <= 0) {
              wait = pauses[++turn % Math.max(1, pauses.length)] ?? 10;
              for (const piece of flying.splice(0)) outgoing.sent(piece);
              const piece = sink.take();
              if (piece) flying.push(piece);
            }
          }
          outgoing.end(at(number + 1));
          ends.set(BigInt(number + 1), count);
          assert.equal(outgoing.isEmpty, false);
        });
        for (const piece of flying.splice(0)) outgoing.sent(piece);
        for (let piece = sink.take(); piece; piece = sink.take()) outgoing.sent(piece);

        assert.equal(outgoing.isEmpty, true);
        assert.equal(outgoing.bytes, 0);
        const got = new Map<string, string[]>();
        let seen = 0;
        for (const { topics, seq } of sink.transactions) {
          for (const [topic, keys] of topics) {
            got.set(topic, [...(got.get(topic) ?? []), ...keys]);
            seen += keys.length;
          }
          // The position that a Kafka transaction ends with is that of all messages up to here, and no other.
          assert.equal(seen, ends.get(seq), `at ${seq}`);
        }
        assert.deepEqual(got, expected);
        assert.equal(sink.transactions.at(-1)?.seq ?? 0n, BigInt(transactions.length));
      }),
      { numRuns: 1_000 },
    );
  });

  test('goes together where it fits: group commit', () => {
    const outgoing = new Outgoing(MESSAGE_LIMIT, PIECE_LIMIT);
    for (let i = 1; i <= 5; i++) {
      outgoing.add('a', { value: Buffer.alloc(20) });
      outgoing.end(at(i));
    }
    const piece = outgoing.take()!;
    assert.equal(piece.messages.get('a')!.length, 5);
    assert.equal(piece.ends!.seq, 5n);
    assert.equal(outgoing.take(), null);
  });

  test('does not go before its transaction has ended, unless it outgrows a request', () => {
    const outgoing = new Outgoing(MESSAGE_LIMIT, PIECE_LIMIT);
    outgoing.add('a', { value: Buffer.alloc(500) });
    assert.equal(outgoing.take(), null);
    outgoing.end(at(1));
    outgoing.add('a', { value: Buffer.alloc(500) });
    outgoing.add('a', { value: Buffer.alloc(500) });
    // What was whole before goes first, in a Kafka transaction of its own.
    assert.equal(outgoing.take()!.ends!.seq, 1n);
    assert.equal(outgoing.take()!.ends, null);
    assert.equal(outgoing.take(), null);
    outgoing.end(at(2));
    assert.equal(outgoing.take()!.ends!.seq, 2n);
  });

  test('may be a position alone', () => {
    const outgoing = new Outgoing(MESSAGE_LIMIT, PIECE_LIMIT);
    assert.equal(outgoing.isEmpty, true);
    outgoing.end(at(1));
    assert.equal(outgoing.isEmpty, false);
    assert.deepEqual(outgoing.take(), { messages: new Map(), bytes: 0, ends: at(1) });
    assert.equal(outgoing.take(), null);
  });

  test('a row as large as all that may wait does not stop everything', () => {
    const outgoing = new Outgoing(100_000, PIECE_LIMIT);
    outgoing.add('transaction', { value: Buffer.alloc(50) });
    outgoing.add('a', { value: Buffer.alloc(FULL) });
    for (let taken = 0; outgoing.bytes >= FULL; taken++) {
      const piece = outgoing.take();
      assert.ok(piece, `nothing to take after ${taken}`);
      outgoing.sent(piece);
    }
  });

  test('a row that no request can carry is an error that names the setting', () => {
    const outgoing = new Outgoing(MESSAGE_LIMIT, PIECE_LIMIT);
    assert.throws(() => outgoing.add('a', { value: Buffer.alloc(900) }), /KAFKA_MAX_MESSAGE_BYTES/);
    outgoing.add('a', { value: Buffer.alloc(870) });
  });
});
