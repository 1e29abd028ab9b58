import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { BrokenHistory } from '../../src/consumer/broken-history.ts';
import { Merge, type MergeOptions, type Step } from '../../src/consumer/merge.ts';
import type { ChangeEvent } from '../../src/kafka/change-event.ts';
import type { TransactionRecord } from '../../src/kafka/transaction-record.ts';
import { eventOf, record, shapeOf, snapshotRecord } from './change-events.ts';

const TABLES = ['a', 'b', 'c'].map((table) => ({ topic: `t.public.${table}`, collection: `public.${table}` }));
const SHAPES = ['a', 'b', 'c'].map((table) => shapeOf(table, { id: 'integer' }, ['id']));
const TRANSACTION = 't.transaction';

type Message = { topic: string; record: TransactionRecord } | { topic: string; event: ChangeEvent };

/** The topics of one SIIRAyS, as the producer fills them. Table `foreign` is no table of the connector. */
class Log {
  readonly topics = new Map<string, Message[]>([TRANSACTION, ...TABLES.map(({ topic }) => topic)].map((t) => [t, []]));
  seq = 0;

  unit(counts: readonly number[], change: Partial<TransactionRecord> = {}): this {
    this.seq += 1;
    const named = Object.fromEntries(counts.map((count, i) => [TABLES[i]?.collection ?? 'public.foreign', count]));
    this.records(record('BEGIN', this.seq, named, change), record('END', this.seq, named, change));
    counts.slice(0, TABLES.length).forEach((count, table) => {
      for (let i = 0; i < count; i++) this.event(table, change.id ?? `${this.seq}:${this.seq * 100}`);
    });
    return this;
  }

  event(table: number, transactionId: string): this {
    const { topic } = TABLES[table]!;
    const offset = String(this.topics.get(topic)!.length * 2);
    const after = [offset];
    this.topics.get(topic)!.push({ topic, event: eventOf(SHAPES[table]!, { op: 'c', after, transactionId, offset }) });
    return this;
  }

  snapshot(status: 'BEGIN' | 'END', requestId: string, connector?: string): this {
    this.seq += 1;
    return this.records(snapshotRecord(status, this.seq, requestId, connector));
  }

  records(...records: TransactionRecord[]): this {
    for (const one of records) this.topics.get(TRANSACTION)!.push({ topic: TRANSACTION, record: one });
    return this;
  }
}

/** Plays the reader: gives messages of all topics to a merge, from given offsets on, in any interleaving. */
class Reader {
  readonly merge: Merge;
  readonly #log: Log;
  readonly #next: Map<string, number>;

  constructor(log: Log, options: Partial<MergeOptions>) {
    const offsets = options.offsets ?? new Map();
    this.#log = log;
    this.#next = new Map([...log.topics.keys()].map((topic) => [topic, 0]));
    for (const [topic, offset] of offsets) {
      const at = log.topics.get(topic)!.findIndex((message, i) => offsetOf(message, i) >= offset);
      this.#next.set(topic, at < 0 ? log.topics.get(topic)!.length : at);
    }
    this.merge = new Merge({
      connector: 'epsa',
      transactionTopic: TRANSACTION,
      tables: TABLES,
      queueBytes: 1_000_000,
      position: { history: 1, seq: 0n },
      awaited: null,
      ...options,
      offsets,
    });
  }

  /** Reads up to `count` messages of one topic; false where the topic is at its end or has no room. */
  read(topic: string, count: number): boolean {
    const messages = this.#log.topics.get(topic)!;
    for (let i = 0; i < count; i++) {
      const at = this.#next.get(topic)!;
      if (at >= messages.length || !this.merge.hasRoom(topic)) return i > 0;
      const message = messages[at]!;
      if ('record' in message) {
        this.merge.offerRecord({ record: message.record, offset: String(offsetOf(message, at)), bytes: 100 });
      } else {
        this.merge.offerEvent(topic, message.event);
      }
      this.#next.set(topic, at + 1);
    }
    return true;
  }

  /** Reads and takes until nothing moves. */
  rest(budget = 1_000_000): Step[] {
    const steps: Step[] = [];
    for (let moved = true; moved; ) {
      moved = false;
      for (const topic of this.#log.topics.keys()) moved = this.read(topic, 10) || moved;
      const taken = this.merge.take(budget);
      steps.push(...taken);
      moved = moved || taken.length > 0;
    }
    return steps;
  }
}

function offsetOf(message: Message, at: number): bigint {
  return 'event' in message ? BigInt(message.event.offset) : BigInt(at);
}

/** What was handed out: per unit its seq and the offsets of its events per table. */
function summary(steps: readonly Step[]): string[] {
  const lines: string[] = [];
  let events: string[] = [];
  for (const step of steps) {
    if (step.kind === 'events') events.push(...step.events.map((e) => `${TABLES[step.table]!.collection}@${e.offset}`));
    else {
      const what = step.kind === 'snapshot' ? `snapshot ${step.record.status}` : 'unit';
      lines.push(`${what} ${step.record.seq}: ${events.sort().join(' ')}`);
      events = [];
    }
  }
  if (events.length > 0) lines.push(`open: ${events.sort().join(' ')}`);
  return lines;
}

/** Hands out all that is there, with a restart from its offsets after each of the given numbers of steps, if no unit is open. */
function withRestarts(log: Log, options: Partial<MergeOptions>, restarts: readonly number[]): Step[] {
  const steps: Step[] = [];
  let reader = new Reader(log, options);
  for (const after of restarts) {
    for (const topic of log.topics.keys()) reader.read(topic, 1_000);
    for (let i = 0; i < after || reader.merge.isMidUnit; i++) steps.push(...reader.merge.take(1));
    const last = steps.findLast((step) => step.kind !== 'events');
    if (last === undefined) continue;
    const position = { history: 1, seq: BigInt(last.record.seq) };
    reader = new Reader(log, { position, awaited: null, offsets: reader.merge.offsets() });
  }
  return [...steps, ...reader.rest()];
}

const restarts = fc.array(fc.nat({ max: 4 }), { maxLength: 4 });
const units = fc.array(fc.array(fc.nat({ max: 4 }), { minLength: 4, maxLength: 4 }), { minLength: 1, maxLength: 12 });
const schedule = fc.array(
  fc.oneof(
    fc.record({
      read: fc.constantFrom(TRANSACTION, ...TABLES.map(({ topic }) => topic)),
      count: fc.integer({ min: 1, max: 5 }),
    }),
    fc.record({ take: fc.integer({ min: 1, max: 1_000 }) }),
  ),
  { maxLength: 60 },
);

describe('the merge', () => {
  test('hands out every unit whole and in order, however messages come and whatever fits', () => {
    fc.assert(
      fc.property(units, schedule, fc.integer({ min: 1, max: 3_000 }), (list, moves, queueBytes) => {
        const log = new Log();
        for (const counts of list) log.unit(counts);
        const whole = summary(new Reader(log, {}).rest());
        const reader = new Reader(log, { queueBytes });
        const steps: Step[] = [];
        for (const move of moves) {
          if ('read' in move) reader.read(move.read, move.count);
          else if (reader.merge.isMidUnit) {
            const rest = reader.merge.takeRest(move.take);
            assert.ok(rest.findIndex(({ kind }) => kind === 'end') < 0 || rest.at(-1)!.kind === 'end');
            assert.ok(rest.filter(({ kind }) => kind === 'end').length <= 1);
            steps.push(...rest);
          } else steps.push(...reader.merge.take(move.take));
        }
        steps.push(...reader.rest(200));
        assert.equal(whole.length, list.length);
        assert.deepEqual(summary(steps), whole);
        assert.equal(reader.merge.isMidUnit, false);
      }),
      { numRuns: 500 },
    );
  });

  test('a queue takes no more than its limit and one message, and is resumed when it is drained', () => {
    const log = new Log().unit([50, 0, 0, 0]).unit([1, 0, 0, 0]);
    const reader = new Reader(log, { queueBytes: 1_000 });
    const { topic } = TABLES[0]!;
    assert.equal(reader.read(topic, 100), true);
    assert.ok(reader.merge.queuedBytes <= 1_000 + 356, `${reader.merge.queuedBytes} bytes`);
    assert.equal(reader.merge.hasRoom(topic), false);
    assert.deepEqual(reader.merge.resumable(), [], 'nothing was taken yet');
    reader.read(TRANSACTION, 2);
    reader.merge.take(1_000_000);
    assert.deepEqual(reader.merge.resumable(), [topic]);
    assert.deepEqual(reader.merge.resumable(), [], 'each is told once');
    assert.equal(reader.merge.isMidUnit, true);
  });

  test('BEGIN and END fit into a queue that is smaller than both', () => {
    const reader = new Reader(new Log().unit([1, 0, 0, 0]), { queueBytes: 1 });
    assert.equal(summary(reader.rest()).length, 1);
  });

  test('goes on from the offsets of any unit’s end without losing or repeating anything', () => {
    fc.assert(
      fc.property(units, fc.nat(), (list, cut) => {
        const log = new Log();
        for (const counts of list) log.unit(counts);
        const whole = summary(new Reader(log, {}).rest());
        const first = new Reader(log, {});
        for (const topic of log.topics.keys()) first.read(topic, 1_000);
        const before: Step[] = [];
        const stop = cut % list.length;
        while (before.filter(({ kind }) => kind === 'end').length <= stop) before.push(...first.merge.take(1));
        assert.equal(first.merge.isMidUnit, false);
        const offsets = first.merge.offsets();
        const seq = BigInt(before.filter(({ kind }) => kind === 'end').length);
        const second = new Reader(log, { offsets, position: { history: 1, seq } });
        assert.deepEqual([...summary(before), ...summary(second.rest())], whole);
      }),
      { numRuns: 300 },
    );
  });

  test('units up to the position are skipped with their events when they are read again', () => {
    fc.assert(
      fc.property(units, fc.nat(), restarts, (list, cut, stops) => {
        const log = new Log();
        for (const counts of list) log.unit(counts);
        const done = cut % list.length;
        const whole = summary(new Reader(log, {}).rest());
        const again = withRestarts(log, { position: { history: 1, seq: BigInt(done) } }, stops);
        assert.deepEqual(summary(again), whole.slice(done));
      }),
      { numRuns: 300 },
    );
  });

  test('everything before the BEGIN of the awaited snapshot is dropped, wherever reading started', () => {
    fc.assert(
      fc.property(
        units,
        units,
        fc.array(fc.nat({ max: 30 }), { minLength: 3, maxLength: 3 }),
        restarts,
        (old, wanted, starts, stops) => {
          const log = new Log();
          for (const counts of old) log.unit(counts);
          const ends = TABLES.map(({ topic }) => log.topics.get(topic)!.length);
          log.snapshot('BEGIN', 'mine');
          for (const counts of wanted) log.unit(counts);
          log.snapshot('END', 'mine');
          // The ends of the topics were read one after the other while units came: each anywhere before the BEGIN.
          const offsets = new Map(TABLES.map(({ topic }, i) => [topic, BigInt(2 * Math.min(starts[i]!, ends[i]!))]));
          const steps = withRestarts(log, { awaited: 'mine', position: null, offsets }, stops);
          const expected = new Reader(log, {
            position: { history: 1, seq: BigInt(old.length) },
            offsets: new Map([
              [TRANSACTION, BigInt(2 * old.length)],
              ...TABLES.map(({ topic }, i): [string, bigint] => [topic, BigInt(2 * ends[i]!)]),
            ]),
          }).rest();
          assert.equal(summary(steps)[0], `snapshot BEGIN ${old.length + 1}: `);
          assert.deepEqual(summary(steps), summary(expected));
        },
      ),
      { numRuns: 300 },
    );
  });

  test('a snapshot of another connector is passed over, and another request does not end the waiting', () => {
    const log = new Log().snapshot('BEGIN', 'theirs', 'other').unit([1, 0, 0, 0]).snapshot('END', 'theirs', 'other');
    assert.deepEqual(summary(new Reader(log, {}).rest()), ['unit 1: ', 'unit 2: public.a@0', 'unit 3: ']);
    const other = new Reader(new Log().snapshot('BEGIN', 'older').unit([1, 0, 0, 0]), {
      awaited: 'mine',
      position: null,
    });
    assert.deepEqual(other.rest(), []);
    assert.equal(other.merge.awaited, 'mine');
  });

  test('a snapshot’s record comes alone, so that a batch ends before it', () => {
    const reader = new Reader(new Log().unit([1, 0, 0, 0]).snapshot('BEGIN', 'mine').unit([1, 0, 0, 0]), {});
    for (const topic of [TRANSACTION, TABLES[0]!.topic]) reader.read(topic, 10);
    const kinds = () => reader.merge.take(1_000_000).map(({ kind }) => kind);
    assert.deepEqual(kinds(), ['events', 'end']);
    assert.deepEqual(kinds(), ['snapshot']);
    assert.deepEqual(kinds(), ['events', 'end']);
  });

  test('tables that are no longer what they were come alone, those of others as a unit without events', () => {
    const turned = (seq: number, table: string) =>
      record('END', seq, {}, { kind: 'shape', eventCount: null, shapes: [{ table, fingerprint: null }] });
    const log = new Log().unit([1, 0, 0, 0]).records(turned(2, TABLES[1]!.collection), turned(3, 'public.no'));
    const reader = new Reader(log, {});
    for (const topic of [TRANSACTION, TABLES[0]!.topic]) reader.read(topic, 10);
    const kinds = () => reader.merge.take(1_000_000).map(({ kind }) => kind);
    assert.deepEqual([kinds(), kinds(), kinds()], [['events', 'end'], ['shape'], ['end']]);
  });

  const broken: [string, (log: Log) => Log, RegExp][] = [
    [
      'a hole in seq',
      (log) => log.unit([1, 0, 0, 0]).records(record('BEGIN', 3, {}), record('END', 3, {})),
      /unit 3 follows unit 1/,
    ],
    [
      'another history',
      (log) => log.unit([1, 0, 0, 0]).records(record('BEGIN', 1, {}, { history: 2 })),
      /history 2 follows history 1/,
    ],
    [
      'an END that is missing',
      (log) => log.records(record('BEGIN', 1, {}), record('BEGIN', 2, {})),
      /not by its own END/,
    ],
    [
      'counts that contradict each other',
      (log) => log.records(record('BEGIN', 1, {}), record('END', 1, { 'public.a': 2 }, { eventCount: 3 })),
      /has 3 events, but 2/,
    ],
    [
      'an event too many',
      (log) =>
        log
          .unit([2, 0, 0, 0])
          .event(0, '2:200')
          .event(0, '2:200')
          .records(record('BEGIN', 2, {}), record('END', 2, { 'public.a': 1 })),
      /holds more events of unit 2/,
    ],
    [
      'an event of a later unit',
      (log) =>
        log
          .unit([1, 1, 0, 0])
          .records(record('BEGIN', 2, {}), record('END', 2, { 'public.a': 2 }))
          .event(0, '2:200')
          .event(0, '3:300'),
      /an event of 3:300 .* where unit 2 .* lacks 1/,
    ],
  ];
  for (const [what, make, message] of broken) {
    test(`${what} is broken history`, () => {
      assert.throws(
        () => new Reader(make(new Log()), {}).rest(),
        (error) => error instanceof BrokenHistory && message.test(error.message),
      );
    });
  }

  test('an event that does not come for 30 s of reading is broken history; a broken connection is not', () => {
    const log = new Log().unit([1, 0, 0, 0]);
    log.topics.get(TABLES[0]!.topic)!.length = 0;
    const { merge } = withAll(log);
    for (let now = 0; now <= 29_000; now += 3_000) merge.signOfLife(now);
    assert.doesNotThrow(() => merge.signOfLife(60_000), 'the signs stopped for a while');
    assert.doesNotThrow(() => {
      for (let now = 63_000; now <= 87_000; now += 3_000) merge.signOfLife(now);
    }, 'the signs stopped for a while');
    assert.throws(() => merge.signOfLife(90_000), /lacks 1 events that t.public.a does not hold/);
    const idle = withAll(new Log());
    for (let now = 0; now <= 90_000; now += 3_000) idle.merge.signOfLife(now);
  });

  function withAll(log: Log): Reader {
    const reader = new Reader(log, {});
    reader.rest();
    return reader;
  }
});
