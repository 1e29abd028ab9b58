import assert from 'node:assert/strict';
import { randomOf } from '../../producer/source-model.ts';
import type { Fate } from '../network.ts';
import { settled } from '../run-schedules.ts';
import { CheckpointRow } from './checkpoint-row.ts';
import { Contender, LEASE } from './contender.ts';

const STEPS = 80;
const FATES: readonly Fate[] = ['request lost', 'answer lost', 'late'];
const IDLE_MS = LEASE.timeoutMs - 2 * LEASE.renewMs;
/** Within this somebody applies again: the time-out by a clock that is slow by a tenth, and some looks. */
const BOUND_MS = LEASE.timeoutMs / 0.9 + 4 * LEASE.renewMs;

/**
 * One random schedule of two to four processes that want one token: killed, started again, standing still and waking up,
 * with clocks that go at different speeds, statements that wait, are lost, come late or lose their answer.
 */
export class TokenSchedule {
  readonly #random: (below: number) => number;
  readonly #row = new CheckpointRow(IDLE_MS);
  readonly #world = { nowMs: 1_000 };
  readonly #faults: number;
  readonly #instances: number;
  /** Those that may still do something, the ended ones included. */
  readonly #processes: Contender[] = [];

  constructor(seed: number) {
    this.#random = randomOf(seed);
    this.#faults = this.#random(4);
    this.#instances = 2 + this.#random(3);
  }

  async run(): Promise<void> {
    for (let i = 0; i < this.#instances; i++) this.#start(i);
    for (let step = 0; step < STEPS; step++) {
      if (this.#random(10) === 0) await this.#flow();
      this.#step(this.#random(100));
      await settled();
      this.#check();
    }
    await this.#recover();
    this.#check();
  }

  /** Some seconds without a fault, in which those that stand still go on standing. */
  async #flow(): Promise<void> {
    for (let i = this.#random(12); i > 0; i--) {
      for (const process of this.#processes) for (let n = 0; n < 3; n++) this.#serveWell(process);
      await settled();
      this.#pass(450);
      await settled();
    }
  }

  #step(action: number): void {
    if (action < 70) this.#serve();
    else if (action < 88) this.#pass(this.#random(500));
    else if (this.#random(4) < this.#faults) this.#fault();
  }

  /** Every statement goes at most a few steps: nobody who works is slower than the lease without a fault. */
  #serve(): void {
    const process = this.#any();
    for (const network of [process.lease, process.apply]) {
      const faulty = this.#random(50) < this.#faults;
      network.step(faulty ? FATES[this.#random(3)]! : 'served', process.running);
    }
  }

  #pass(ms: number): void {
    if (this.#faults === 0) {
      for (const process of this.#processes) for (let i = 0; i < 4; i++) this.#serveWell(process);
    }
    this.#world.nowMs += ms;
    for (const process of this.#processes) process.wake();
    this.#row.look(this.#world.nowMs, () => false);
  }

  #serveWell(process: Contender): void {
    process.lease.step('served', process.running);
    process.apply.step('served', process.running);
  }

  #fault(): void {
    const process = this.#any();
    const kind = this.#random(9);
    if (kind < 2) process.kill(this.#random(2) === 0);
    else if (kind < 4) process.stand(process.running);
    else if (kind === 4) process.end(new Error('stopped'));
    else if (kind === 5) this.#start(this.#random(this.#instances));
    else if (kind === 6) process[this.#random(2) === 0 ? 'lease' : 'apply'].arrive(this.#random(3));
    else if (kind === 7) this.#pass(2_500 + this.#random(3_000));
    else this.#row.look(this.#world.nowMs, (session) => this.#isGone(session));
  }

  #isGone(session: object): boolean {
    return this.#processes.some((process) => process.session === session && process.ended);
  }

  #any(): Contender {
    return this.#processes[this.#random(this.#processes.length)]!;
  }

  /** An instance begins, or begins again where it has ended. */
  #start(i: number): void {
    const instanceId = `instance ${i}`;
    if (this.#processes.some((process) => process.instanceId === instanceId && !process.ended)) return;
    const rate = 0.9 + this.#random(21) / 100;
    const waited = () => this.#random(4) === 0;
    this.#processes.push(new Contender(instanceId, this.#row, this.#world, rate, waited));
  }

  #check(): void {
    // What the row itself asserts shows as the end of a process.
    for (const { ended } of this.#processes) if (ended?.error instanceof assert.AssertionError) throw ended.error;
    if (this.#faults === 0) assert.ok(this.#row.raised.length <= 1, 'taken from who renews');
  }

  /** The faults are over, though those that stand still go on standing: within the bound somebody applies. */
  async #recover(): Promise<void> {
    this.#row.look(this.#world.nowMs, (session) => this.#isGone(session));
    this.#start(this.#random(this.#instances));
    const works = () => this.#processes.some(({ running, ended }) => running && !ended);
    if (!works()) this.#any().stand(false);
    for (let i = 0; i < this.#instances && !works(); i++) this.#start(i);
    if (!works()) for (const process of this.#processes) process.stand(false);
    const before = this.#row.seq;
    const begun = this.#world.nowMs;
    while (this.#row.seq === before) {
      assert.ok(this.#world.nowMs - begun < BOUND_MS, `nobody applies ${BOUND_MS} ms after the last fault`);
      for (let i = 0; i < 8; i++) {
        for (const process of this.#processes) if (process.running) this.#serveWell(process);
        await settled();
      }
      // Who meets what a fault has left behind begins again.
      for (let i = 0; i < this.#instances && !works(); i++) this.#start(i);
      this.#pass(100);
      await settled();
    }
    for (const process of this.#processes) process.stand(false);
    for (let i = 0; i < 6; i++) await this.#flow();
    for (const { session, ended, instanceId } of this.#processes) {
      assert.ok(
        ended || !session || session.token === this.#row.token,
        `${instanceId} does not know that it is too late`,
      );
    }
  }
}
