import assert from 'node:assert/strict';
import { decodePosition, type FoundBroken, type Position } from '../../../src/producer/position.ts';
import { TOPICS } from '../../producer/fake-writer.ts';
import { randomOf } from '../../producer/source-model.ts';
import type { Fate } from '../network.ts';
import { settled } from '../run-schedules.ts';
import { ProducerLife } from './producer-life.ts';
import { readHistories } from './read-histories.ts';
import { SimulatedKafka } from './simulated-kafka.ts';
import { type Commit, SimulatedServer } from './simulated-server.ts';

const STEPS = 70;
const FATES: readonly Fate[] = ['request lost', 'answer lost', 'late'];

/**
 * One random schedule of producers between a server and a Kafka: two processes that want the slot, killed, standing still
 * and waking up, requests lost, late or without an answer, a server that crashes, forgets what it was confirmed, is put
 * back to an older copy or loses its slot.
 */
export class PositionSchedule {
  readonly #random: (below: number) => number;
  readonly #server: SimulatedServer;
  readonly #kafka = new SimulatedKafka();
  /** Those that may still do something, the ended ones included. */
  readonly #lives: ProducerLife[] = [];
  readonly #breaks: 'nothing' | 'copy' | 'slot';
  readonly #faults: number;
  readonly #decoded = new Map<string, Position>();
  #foundBroken: FoundBroken | null = null;
  #now = 0;

  constructor(seed: number) {
    this.#random = randomOf(seed);
    this.#server = new SimulatedServer(this.#random);
    this.#breaks = (['nothing', 'nothing', 'copy', 'slot'] as const)[this.#random(4)]!;
    this.#faults = this.#random(4);
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      if (step === 0 || this.#random(8) === 0) await this.#flow();
      this.#step(this.#random(100));
      await settled();
    }
    await this.#catchUp();
    this.#check();
  }

  /** Somebody works for a while without a fault: else most would happen to who has only begun. */
  async #flow(): Promise<void> {
    this.#start();
    this.#server.commit(false);
    for (let i = 6 + this.#random(12); i > 0; i--) {
      this.#server.session?.send();
      for (const life of this.#lives) {
        life.network.step('served', life.running);
        if (!life.session?.paused) life.deliver();
      }
      await settled();
    }
  }

  #step(action: number): void {
    const server = this.#server;
    if (action < 12) server.commit(false);
    else if (action < 14) server.commit(true);
    else if (action < 18) server.foreign();
    else if (action < 26) server.session?.send();
    else if (action < 31) server.session?.keepalive(this.#random(2) === 0);
    else if (action < 48) this.#deliver();
    else if (action < 70) this.#moveNetwork();
    else if (action < 75) this.#tick();
    else if (action < 79) this.#any()?.confirm();
    else if (action < 83) this.#confirmation();
    else if (action < 85) this.#start();
    else if (this.#random(4) < this.#faults) this.#fault();
  }

  #fault(): void {
    const server = this.#server;
    const life = this.#any();
    const kind = this.#random(12);
    if (kind < 2) life?.kill(this.#random(2) === 0);
    else if (kind < 4 && life) life.stand(life.running);
    else if (kind === 4) server.endSession();
    else if (kind === 5) server.crash();
    else if (kind === 6) this.#kafka.timeOut(this.#random(4));
    else if (kind < 9) life?.network.arrive(this.#random(3));
    else if (kind === 9) life?.end(new Error('stopped'));
    else if (this.#breaks === 'slot' && kind === 10) server.remakeSlot();
    else if (this.#breaks === 'copy' && kind === 10) server.copyDisk();
    else if (this.#breaks === 'copy') server.restore();
  }

  #any(): ProducerLife | undefined {
    return this.#lives[this.#random(Math.max(1, this.#lives.length))];
  }

  #deliver(): void {
    const life = this.#any();
    // What has been read from a socket before it is paused still comes.
    if (life?.session?.paused && this.#random(4) > 0) return;
    life?.deliver();
  }

  #moveNetwork(): void {
    const life = this.#any();
    const faulty = this.#random(60) < this.#faults;
    life?.network.step(faulty ? FATES[this.#random(3)]! : 'served', life.running);
  }

  #tick(): void {
    this.#now += this.#random(1_500);
    this.#any()?.tick();
  }

  /** A confirmation comes to the server: never beyond what Kafka holds, or what the server knew before. */
  #confirmation(): void {
    const life = this.#any();
    const come = life?.arriveConfirmation();
    if (!come) return;
    const held = this.#positions().filter(({ history }) => history === life!.position?.history);
    const isHeld = come.lsn <= come.startedAt || held.some(({ end_lsn }) => come.lsn <= end_lsn);
    assert.ok(isHeld, `${come.lsn} is confirmed, and no finished Kafka transaction holds it`);
    this.#server.confirm(come.lsn);
  }

  /** A process begins, or begins again; at most two that live, and some that have ended but still have requests under way. */
  #start(): void {
    this.#foundBroken = this.#lives.findLast(({ foundBroken }) => foundBroken)?.foundBroken ?? this.#foundBroken;
    const gone = this.#lives.findIndex(({ ended, network }) => ended && network.pending + network.late === 0);
    if (gone >= 0) this.#lives.splice(gone, 1);
    if (this.#lives.filter(({ ended }) => !ended).length >= 2) return;
    const world = { server: this.#server, kafka: this.#kafka, now: () => this.#now };
    // Another process does not know what this one has found out.
    this.#lives.push(new ProducerLife(world, this.#random(3) === 0 ? null : this.#foundBroken));
  }

  #positions(): Position[] {
    return this.#kafka.finished(TOPICS.position).map(({ value }) => {
      const text = String(value);
      const known = this.#decoded.get(text) ?? decodePosition(text);
      this.#decoded.set(text, known);
      return known;
    });
  }

  /** All faults are over: somebody goes on, and in the end Kafka holds everything and the server need not keep anything. */
  async #catchUp(): Promise<void> {
    this.#server.commit(false);
    this.#server.foreign();
    const target = this.#server.lsn;
    for (const life of this.#lives) life.stand(false);
    // Whatever is left of the dead is noticed now.
    const held = this.#lives.some(({ ended, session }) => !ended && session === this.#server.session);
    if (!held) this.#server.endSession();
    for (let round = 0; ; round++) {
      assert.ok(round < 3_000, `the stream stands still at ${this.#server.confirmed} of ${target}`);
      if (this.#server.confirmed >= target) return;
      if (round % 10 === 0) this.#start();
      this.#server.session?.send();
      this.#server.session?.keepalive(false);
      this.#now += 500;
      for (const life of this.#lives) {
        life.network.step('served', true);
        if (!life.session?.paused) life.deliver();
        if (round % 10 > 0) continue;
        life.tick();
        life.confirm();
      }
      if (round % 10 === 0) for (let i = this.#lives.length; i > 0; i--) this.#confirmation();
      await settled();
    }
  }

  /** Every committed transaction exactly once, whole, in order, without a gap in seq. */
  #check(): void {
    const positions = this.#positions();
    for (const [i, position] of positions.entries()) {
      const before = positions[i - 1];
      if (!before || before.history < position.history) continue;
      assert.equal(before.history, position.history, 'a history goes on after a newer one');
      assert.ok(position.end_lsn >= before.end_lsn && position.seq >= before.seq, 'the position went back');
    }
    const histories = readHistories(this.#kafka, TOPICS);
    const numbers = [...histories.keys()];
    if (!this.#server.broken) assert.deepEqual(numbers, numbers.length > 0 ? [1] : []);
    const last = positions.at(-1)!.history;
    for (const [history, units] of histories) {
      const start = positions.find((position) => position.history === history)!;
      const expected = (past: Commit[]) => past.filter((c) => c.commitLsn >= start.end_lsn && c.events.length > 0);
      const texts = units.map((unit) => JSON.stringify(unit));
      if (history === last) {
        assert.deepEqual(texts, expected(this.#server.commits).map(unitOf), `history ${history}`);
      } else {
        const pasts = [...this.#server.pasts, this.#server.commits].map((past) => expected(past).map(unitOf));
        const fits = pasts.some((past) => texts.every((text, i) => text === past[i]));
        assert.ok(fits, `history ${history} is no past of the server: ${texts.join('\n')}`);
      }
    }
  }
}

function unitOf({ xid, commitLsn, events }: Commit): string {
  return JSON.stringify({
    id: `${xid}:${commitLsn}`,
    events: [0, 1].map((table) => events.filter((event) => event.table === table).map(({ value }) => value)),
  });
}
