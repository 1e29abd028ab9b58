import assert from 'node:assert/strict';
import { Registry } from 'prom-client';
import { ChangesDelivery } from '../../../src/consumer/delivery/changes-delivery.ts';
import type { DeliveryContext } from '../../../src/consumer/delivery/delivery.ts';
import { deliveryMetrics } from '../../../src/consumer/delivery/metrics.ts';
import { randomOf } from '../../producer/source-model.ts';
import { silent } from '../../support/producer.ts';
import { type Fate, Network } from '../network.ts';
import { settled } from '../run-schedules.ts';
import { SimulatedBookkeeping } from './simulated-bookkeeping.ts';
import { SimulatedFastaaps } from './simulated-fastaaps.ts';

const STEPS = 140;
const FATES: readonly Fate[] = ['request lost', 'answer lost', 'late'];
const COUNTERS = deliveryMetrics(new Registry());

/** One life of a delivery: the production code between a bookkeeping and a FASTAAPS. */
class DeliveryLife {
  readonly http = new Network();
  /** Nothing comes late here: a transaction holds the outbox's lock from its beginning, so that the next one waits for it. */
  readonly sync = new Network();
  readonly #adapter: ChangesDelivery;
  #inRound = false;
  ended = false;

  constructor(bookkeeping: SimulatedBookkeeping, fastaaps: SimulatedFastaaps, token: number, now: () => number) {
    const context = {
      connector: {
        name: 'c',
        target: { path: '/registro', tag: 'sync', adapter: 'changes' },
        root: { idType: 'text' },
      },
      client: fastaaps.client(this.http),
      signal: new AbortController().signal,
      source: 's',
      log: silent,
      health: { live: () => undefined, ready: () => undefined },
      counters: COUNTERS,
      onMarked: () => undefined,
    } as unknown as DeliveryContext;
    this.#adapter = new ChangesDelivery(context, bookkeeping.store(this.sync, token), now);
  }

  step(fate: Fate): void {
    this.http.step(fate, true);
    this.sync.step(fate === 'late' ? 'answer lost' : fate, true);
  }

  kill(arrives: boolean): void {
    this.ended = true;
    this.http.die(arrives);
    this.sync.die(false);
  }

  /** Begins a round where none is under way; one that fails is tried again, as the loop of delivery does. */
  round(): void {
    if (this.#inRound || this.ended) return;
    this.#inRound = true;
    this.#adapter
      .round()
      .catch((error: Error) => {
        if (error.name === 'TokenLost') this.ended = true;
        else if (!error.message.startsWith('network')) throw error;
      })
      .finally(() => {
        this.#inRound = false;
      });
  }
}

/**
 * One random schedule of deliveries: commits, projections, rounds whose requests are lost, doubled, late or without an
 * answer, processes that are followed by others while their requests are still under way, a `sync` or a FASTAAPS that is
 * put back to an older copy, lost or emptied, and a stranger that writes.
 */
export class DeliverySchedule {
  readonly #random: (below: number) => number;
  readonly #bookkeeping = new SimulatedBookkeeping();
  readonly #fastaaps = new SimulatedFastaaps();
  readonly #breaks: 'nothing' | 'sync' | 'fastaaps' | 'stranger';
  readonly #faults: number;
  readonly #lives: DeliveryLife[] = [];
  #now = 0;

  constructor(seed: number) {
    this.#random = randomOf(seed);
    this.#breaks = (['nothing', 'sync', 'fastaaps', 'stranger'] as const)[this.#random(4)]!;
    this.#faults = this.#random(4);
    // Always SIIRAyS at one commit, as long as neither side forgets anything.
    if (this.#breaks === 'nothing') this.#fastaaps.onApplied = () => this.#checkWhole();
    this.#takeOver();
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      if (this.#random(10) === 0) await this.#flow();
      this.#step(this.#random(100));
      await settled();
    }
    await this.#catchUp();
    assert.deepEqual(this.#fastaaps.shown(), this.#bookkeeping.truth(this.#bookkeeping.commits.length));
  }

  /** Some rounds of the newest process without a fault. */
  async #flow(): Promise<void> {
    const life = this.#lives.at(-1)!;
    for (let i = this.#random(40); i > 0; i--) {
      if (i % 8 === 0) life.round();
      if (i % 10 === 0) this.#bookkeeping.project(1);
      life.step('served');
      await settled();
    }
  }

  #step(action: number): void {
    if (action < 15) this.#commit();
    else if (action < 28) this.#bookkeeping.project(1 + this.#random(3));
    else if (action < 40) this.#any().round();
    else if (action < 86) this.#moveNetwork();
    else if (action < 88) this.#now += this.#random(6_000);
    else if (this.#random(4) < this.#faults) this.#fault();
  }

  #fault(): void {
    const kind = this.#random(8);
    const life = this.#any();
    if (kind < 2) this.#takeOver();
    else if (kind < 4) life.http.arrive(this.#random(3));
    else if (kind === 4) {
      life.kill(this.#random(2) === 0);
      this.#takeOver();
    } else if (this.#breaks === 'sync') this.#breakSync(kind);
    else if (this.#breaks === 'fastaaps') this.#breakFastaaps(kind);
    else if (this.#breaks === 'stranger') this.#fastaaps.intrude(String(this.#random(4)));
  }

  /** `sync` is put back while nobody works with it; whoever comes next begins anew. */
  #breakSync(kind: number): void {
    if (kind === 5) {
      this.#bookkeeping.backUp();
      return;
    }
    if (this.#random(4) === 0) this.#bookkeeping.lose();
    else this.#bookkeeping.restore();
    this.#takeOver();
  }

  #breakFastaaps(kind: number): void {
    if (kind === 5) this.#fastaaps.backUp();
    else if (this.#random(4) === 0) this.#fastaaps.empty();
    else this.#fastaaps.restore();
  }

  #any(): DeliveryLife {
    // Mostly the newest: older ones have lost their token, but their requests may still be under way.
    if (this.#random(3) > 0) return this.#lives.at(-1)!;
    return this.#lives[this.#random(this.#lives.length)]!;
  }

  #takeOver(): void {
    this.#bookkeeping.token += 1;
    const now = () => this.#now;
    this.#lives.push(new DeliveryLife(this.#bookkeeping, this.#fastaaps, this.#bookkeeping.token, now));
  }

  #commit(): void {
    const body = this.#random(4) === 0 ? null : `{"v":${this.#random(3)}}`;
    this.#bookkeeping.commits.push({ id: String(this.#random(4)), body });
  }

  #moveNetwork(): void {
    const faulty = this.#random(40) < this.#faults;
    this.#any().step(faulty ? FATES[this.#random(3)]! : 'served');
  }

  #checkWhole(): void {
    const seq = Number(this.#fastaaps.position!.seq);
    assert.deepEqual(this.#fastaaps.shown(), this.#bookkeeping.truth(seq), `FASTAAPS is not SIIRAyS at commit ${seq}`);
  }

  /** The faults are over, and requests under way have come or never will: in the end both sides are equal. */
  async #catchUp(): Promise<void> {
    for (const { http } of this.#lives) while (http.late > 0) http.arrive(0);
    this.#commit();
    for (let round = 0; ; round++) {
      assert.ok(round < 600, 'deliveries come to no end');
      for (const life of this.#lives) {
        life.step('served');
        if (round % 4 === 0) life.round();
      }
      this.#now += 300;
      if (round % 5 === 0) this.#bookkeeping.project(100);
      await settled();
      if (this.#bookkeeping.isSettled && round > 40) return;
    }
  }
}
