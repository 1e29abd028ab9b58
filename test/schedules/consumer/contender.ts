import type { LeaseTable } from '../../../src/consumer/lease-table.ts';
import { acquireToken, type Clock, keepToken } from '../../../src/consumer/token.ts';
import { silent } from '../../support/producer.ts';
import { Network } from '../network.ts';
import type { ApplySession, CheckpointRow } from './checkpoint-row.ts';

export const LEASE = { renewMs: 500, timeoutMs: 3_000 };
const APPLY_MS = 200;

/** One life of a consumer process that wants the token, and applies batches while it has it. */
export class Contender implements Clock {
  /** Two connections: what waits for the row on one holds up nothing on the other. */
  readonly lease = new Network();
  readonly apply = new Network();
  readonly instanceId: string;
  readonly #row: CheckpointRow;
  readonly #world: { nowMs: number };
  /** How fast its clock goes. */
  readonly #rate: number;
  readonly #waited: () => boolean;
  readonly #sleeping: { until: number; resolve(): void }[] = [];
  readonly #ending = new AbortController();
  session: ApplySession | null = null;
  #stopKeeping: () => void = () => undefined;
  #standing = false;
  #dead = false;
  ended: { error: unknown } | null = null;
  applied = 0;

  constructor(instanceId: string, row: CheckpointRow, world: { nowMs: number }, rate: number, waited: () => boolean) {
    this.instanceId = instanceId;
    this.#row = row;
    this.#world = world;
    this.#rate = rate;
    this.#waited = waited;
    this.#run().catch((error: unknown) => this.end(error));
  }

  /** Whether it does anything: it is neither dead nor standing still. */
  get running(): boolean {
    return !this.#dead && !this.#standing;
  }

  /** Stops as by SIGSTOP, or goes on. */
  stand(still: boolean): void {
    this.#standing = still;
  }

  async #run(): Promise<void> {
    const row = this.#row;
    const table: LeaseTable = {
      read: () => this.lease.call(() => row.read()),
      raise: (seen, instanceId) => this.lease.call(() => row.raise(seen, instanceId)),
      renew: (token) => this.lease.call(() => row.renew(token, this.#waited())),
      release: (token) => this.lease.call(() => row.release(token)),
    };
    const token = await acquireToken(
      table,
      {
        instanceId: this.instanceId,
        lease: LEASE,
        log: silent,
        signal: this.#ending.signal,
        onStandby: () => undefined,
      },
      this,
    );
    const keeper = keepToken(table, token, LEASE, (error) => this.end(error), undefined, this);
    this.#stopKeeping = () => {
      keeper
        .stop()
        .then(() => table.release(token))
        .catch(() => undefined);
    };
    if (this.ended) this.#stopKeeping();
    this.#ending.signal.throwIfAborted();
    const session = { token: BigInt(token), ended: false };
    this.session = session;
    await this.apply.call(() => row.endOlderSessions(session.token));
    let seq = await this.apply.call(() => row.seq);
    while (!this.ended) {
      await this.apply.call(() => row.update(session, this.#world.nowMs));
      const from = seq;
      await this.apply.call(() => row.commit(session, from));
      seq += 1;
      this.applied += 1;
      await this.sleep(APPLY_MS);
    }
  }

  now(): number {
    return this.#world.nowMs * this.#rate;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#sleeping.push({ until: this.now() + ms, resolve });
    });
  }

  /** Time has passed: who has slept enough wakes, unless the process stands still. */
  wake(): void {
    if (!this.running) return;
    for (let i = 0; i < this.#sleeping.length; ) {
      if (this.#sleeping[i]!.until <= this.now()) this.#sleeping.splice(i, 1)[0]!.resolve();
      else i++;
    }
  }

  /** An error, or the end in order: the token is given back where it is still ours. */
  end(error: unknown): void {
    if (this.ended) return;
    this.ended = { error };
    this.#ending.abort(error);
    this.#stopKeeping();
  }

  kill(arrives: boolean): void {
    this.ended ??= { error: new Error('killed') };
    this.#dead = true;
    this.lease.die(arrives);
    this.apply.die(arrives);
  }
}
