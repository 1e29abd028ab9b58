import assert from 'node:assert/strict';
import { BrokenHistory } from '../../../src/consumer/broken-history.ts';
import { Merge, type Step } from '../../../src/consumer/merge.ts';
import { randomOf } from '../../producer/source-model.ts';
import { TABLES, TRANSACTION, UnitLog } from './unit-log.ts';

const STEPS = 60;
const SIGN_MS = 3_000;

/** What is stored: where a consumer that begins again goes on. */
interface Checkpoint {
  position: { history: number; seq: bigint } | null;
  offsets: ReadonlyMap<string, bigint>;
  awaited: string | null;
}

/**
 * One random schedule of a consumer's merge: the topics are read in any interleaving, in batches that are cut anywhere,
 * into queues of any size; the consumer crashes before and after its commits and goes on from its checkpoint, or from
 * older offsets; units are missing, events are lost, histories change, snapshots of this and of other connectors come.
 */
export class MergeSchedule {
  readonly #random: (below: number) => number;
  readonly #log: UnitLog;
  readonly #queueBytes: number;
  /** What breaks the log, once. */
  #break: 'nothing' | 'lost' | 'hole' | 'history';
  #stored: Checkpoint = { position: { history: 1, seq: 0n }, offsets: new Map(), awaited: null };
  /** Offsets of an earlier checkpoint. */
  #older: ReadonlyMap<string, bigint> = new Map();
  /** Place in the log of the unit that has to come next; null until the BEGIN that is waited for. */
  #next: number | null = 0;
  #merge: Merge;
  /** Per topic, the place of the next message to read. */
  readonly #read = new Map<string, number>();
  readonly #paused = new Set<string>();
  /** Taken and not yet committed. */
  #open: string[][] = TABLES.map(() => []);
  #taken: { record: { history: number; seq: string }; events: string[][] }[] = [];
  #requests = 0;
  #signalled = new Set<string>();
  #now = 0;

  constructor(seed: number) {
    this.#random = randomOf(seed);
    this.#log = new UnitLog(this.#random);
    this.#queueBytes = [1, 300, 1_000, 100_000][this.#random(4)]!;
    this.#break = (['nothing', 'lost', 'hole', 'history'] as const)[this.#random(4)]!;
    this.#merge = this.#start();
  }

  run(): void {
    for (let step = 0; step < STEPS; step++) this.#step(this.#random(100));
    for (let i = 0; i < 3; i++) this.#log.unit();
    for (let round = 0; this.#next !== this.#log.units.length; round++) {
      assert.ok(round < 400, `nothing moves at unit ${this.#next} of ${this.#log.units.length}`);
      this.#answer();
      for (const topic of this.#log.topics.keys()) this.#fetch(topic, 1_000);
      this.#guard(() => this.#take(1_000_000));
      this.#sign();
    }
  }

  #step(action: number): void {
    const log = this.#log;
    if (action < 14) log.unit();
    else if (action < 16) log.bound(this.#random(2) === 0 ? 'BEGIN' : 'END', 'theirs', 'other');
    else if (action < 17) this.#breakLog();
    else if (action < 20) this.#answer();
    else if (action < 60) this.#fetch([...log.topics.keys()][this.#random(4)]!, 1 + this.#random(6));
    else if (action < 92) this.#guard(() => this.#take(1 + this.#random(this.#random(2) === 0 ? 400 : 3_000)));
    else if (action < 95) this.#sign();
    else this.#crash();
  }

  #breakLog(): void {
    if (this.#break === 'lost') this.#log.unit(true);
    else if (this.#break === 'hole') this.#log.hole();
    else if (this.#break === 'history') this.#log.newHistory();
    this.#break = 'nothing';
  }

  /** The producer serves a snapshot that was asked for, once. */
  #answer(): void {
    const { awaited } = this.#stored;
    if (awaited === null || this.#signalled.has(awaited)) return;
    this.#signalled.add(awaited);
    this.#log.bound('BEGIN', awaited, 'epsa');
    for (let i = this.#random(3); i > 0; i--) this.#log.unit();
    this.#log.bound('END', awaited, 'epsa');
  }

  /** A fetch: what fits is taken, else the topic is paused. */
  #fetch(topic: string, count: number): void {
    if (this.#paused.has(topic)) return;
    const messages = this.#log.topics.get(topic)!;
    const from = this.#read.get(topic)!;
    for (const message of messages.slice(from, from + count)) {
      if (!this.#merge.hasRoom(topic)) {
        this.#paused.add(topic);
        return;
      }
      if ('event' in message) this.#merge.offerEvent(topic, message.event);
      else this.#merge.offerRecord({ record: message.record, offset: message.offset, bytes: 100 });
      this.#read.set(topic, this.#read.get(topic)! + 1);
    }
  }

  /** What the applier does: takes, goes on until the unit is whole, commits with the offsets of that moment. */
  #take(budget: number): void {
    const merge = this.#merge;
    const before = merge.isMidUnit;
    const steps = before ? merge.takeRest(budget) : merge.take(budget);
    for (const topic of merge.resumable()) this.#paused.delete(topic);
    for (const step of steps) this.#note(step, steps.length);
    if (merge.isMidUnit || this.#taken.length === 0) return;
    if (this.#random(15) === 0) this.#crash();
    else this.#commit();
  }

  #note(step: Step, steps: number): void {
    if (step.kind === 'events') {
      this.#open[step.table]!.push(...step.events.map(({ offset }) => offset));
      return;
    }
    if (step.kind === 'snapshot') assert.equal(steps, 1, 'a snapshot’s bound comes alone');
    this.#taken.push({ record: step.record, events: this.#open });
    this.#open = TABLES.map(() => []);
  }

  /** Whole units, in the log's order, each once. */
  #commit(): void {
    assert.ok(
      this.#open.every((events) => events.length === 0),
      'events of a unit that has not ended would be committed',
    );
    for (const { record, events } of this.#taken.splice(0)) {
      this.#next ??= this.#log.units.findIndex(({ begins }) => begins === this.#stored.awaited);
      const unit = this.#log.units[this.#next]!;
      assert.deepEqual([record.history, Number(record.seq)], [unit.history, unit.seq]);
      assert.deepEqual(events, unit.events);
      const first = unit.begins !== null && unit.begins === this.#stored.awaited;
      if (!first) assert.equal(unit.broken, null, 'what cannot be applied was');
      this.#older = this.#stored.offsets;
      const position = { history: record.history, seq: BigInt(record.seq) };
      this.#stored = { position, offsets: this.#merge.offsets(), awaited: null };
      this.#next += 1;
    }
  }

  #crash(): void {
    this.#merge = this.#start();
  }

  #start(): Merge {
    const { position, awaited, offsets } = this.#stored;
    // Offsets of before do no harm: what lies below the position is passed over.
    const from = awaited === null && this.#random(4) === 0 ? this.#older : offsets;
    this.#open = TABLES.map(() => []);
    this.#taken = [];
    this.#paused.clear();
    for (const [topic, messages] of this.#log.topics) {
      const at = messages.findIndex(({ offset }) => BigInt(offset) >= (from.get(topic) ?? 0n));
      this.#read.set(topic, at < 0 ? messages.length : at);
    }
    return new Merge({
      connector: 'epsa',
      transactionTopic: TRANSACTION,
      tables: TABLES,
      queueBytes: this.#queueBytes,
      offsets: from,
      position,
      awaited,
    });
  }

  /** The reader lives and finds nothing more in any topic that it reads. */
  #sign(): void {
    for (const [topic, messages] of this.#log.topics) {
      if (!this.#paused.has(topic) && this.#read.get(topic) !== messages.length) return;
    }
    this.#now += SIGN_MS;
    this.#guard(() => this.#merge.signOfLife(this.#now));
  }

  /** Broken history, and only that, freezes the replica and asks for a full snapshot behind the topics' ends. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof BrokenHistory)) throw error;
      assert.ok(this.#next !== null, `nothing can be broken before the BEGIN: ${error.message}`);
      // Units before it that were taken at the same time are given up with it.
      const found = this.#log.units.slice(this.#next).some(({ broken }) => broken);
      assert.ok(found, `every unit from ${this.#next} on can be applied: ${error.message}`);
      this.#requests += 1;
      // The ends are read one after the other while units come: each anywhere between the checkpoint and the BEGIN.
      const { offsets: before } = this.#stored;
      const offsets = new Map(
        [...this.#log.topics.keys()].map((topic) => [
          topic,
          this.#random(3) === 0 ? (before.get(topic) ?? 0n) : this.#log.end(topic),
        ]),
      );
      this.#stored = { position: null, offsets, awaited: `request ${this.#requests}` };
      this.#next = null;
      this.#merge = this.#start();
    }
  }
}
