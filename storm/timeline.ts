import { setTimeout as sleep } from 'node:timers/promises';
import { formatLsn, parseLsn } from '../src/postgres/lsn.ts';
import type { HistoryFile } from './history/file.ts';
import type { Step } from './plan.ts';
import type { FastaapsState } from './readers/fastaaps.ts';
import type { ReplicaState } from './readers/replica.ts';
import { Truth } from './truth.ts';
import type { Commit, Witness } from './witness/witness.ts';

interface Waiting {
  of: 'fastaaps' | 'replica';
  lsn: string;
  /** The witness has told everything that was flushed once it has made so many passes, or a later commit. */
  passes: number;
}

/** Puts what the readers saw beside what the witness told, and writes both into the history. */
export class Timeline {
  /** xid and events of each commit, in order. */
  readonly commits: { xid: string; events: number; lsn: bigint }[] = [];
  shown: FastaapsState | undefined;
  kept: ReplicaState | undefined;
  readonly #history: HistoryFile;
  readonly #startedAt = performance.now();
  #witness: Witness | undefined;
  #truths: { fastaaps: Truth; replica: Truth } | undefined;
  readonly #early: Commit[] = [];
  #waiting: Waiting[] = [];

  constructor(history: HistoryFile) {
    this.#history = history;
  }

  begin(witness: Witness, { seed, minutes }: { seed: number; minutes: number }): void {
    this.#witness = witness;
    const { shapes, start } = witness;
    this.#truths = { fastaaps: new Truth(shapes, start), replica: new Truth(shapes, start) };
    this.#history.write({ kind: 'start', seed, minutes, lsn: formatLsn(witness.startLsn) });
    for (const commit of this.#early.splice(0)) this.commit(commit);
  }

  commit(commit: Commit): void {
    if (!this.#truths) {
      this.#early.push(commit);
      return;
    }
    const { n, xid, lsn, events } = commit;
    this.commits.push({ xid, events, lsn });
    this.#truths.fastaaps.add(commit);
    this.#truths.replica.add(commit);
    this.#history.write({ kind: 'commit', n, xid, lsn: formatLsn(lsn) });
    this.#tellTruths();
  }

  state(state: FastaapsState): void {
    this.shown = state;
    this.#history.write({ kind: 'fastaaps', at: this.#now(), ...state });
    this.#await('fastaaps', state.lsn);
  }

  versions(versions: Record<string, [number, string]>): void {
    this.#history.write({ kind: 'versions', at: this.#now(), versions });
    this.#tellTruths();
  }

  replica(state: ReplicaState): void {
    this.kept = state;
    this.#history.write({ kind: 'replica', at: this.#now(), ...state });
    this.#await('replica', state.lsn);
  }

  fault({ step, kind, fault }: Step, detail: Record<string, unknown>, at: number): void {
    const { family: _, ...rest } = fault as unknown as Record<string, unknown>;
    const when = Math.round(at - this.#startedAt);
    this.#history.write({ kind: 'fault', at: when, step, fault: kind, detail: { ...rest, ...detail } });
  }

  /** Waits until FASTAAPS shows a commit that the witness saw after now. False: not in time. */
  async flowing(withinMs: number): Promise<boolean> {
    const deadline = performance.now() + withinMs;
    // What was committed a moment before now may still be told.
    await sleep(120);
    const known = this.commits.length;
    while (performance.now() < deadline) {
      const next = this.commits[known];
      if (next && this.shown && parseLsn(this.shown.lsn) >= next.lsn) return true;
      await sleep(20);
    }
    return false;
  }

  /** Whether each state that was seen has its truth. */
  get settled(): boolean {
    this.#tellTruths();
    return this.#waiting.length === 0;
  }

  #now(): number {
    return Math.round(performance.now() - this.#startedAt);
  }

  #await(of: 'fastaaps' | 'replica', lsn: string): void {
    // The pass under way may have begun before this state was there.
    this.#waiting.push({ of, lsn, passes: this.#witness!.passes + 2 });
    this.#tellTruths();
  }

  #tellTruths(): void {
    const last = this.commits.at(-1)?.lsn ?? 0n;
    const passes = this.#witness!.passes;
    const rest: Waiting[] = [];
    const told = new Set<string>();
    for (const waiting of this.#waiting) {
      const { of, lsn } = waiting;
      const known = told.has(of) ? false : parseLsn(lsn) <= last || passes >= waiting.passes;
      if (!known) {
        rest.push(waiting);
        told.add(of); // in order
        continue;
      }
      const truth = this.#truths![of];
      truth.moveTo(parseLsn(lsn));
      if (of === 'fastaaps') this.#history.write({ kind: 'truth', of, lsn, documents: truth.documents() });
      else this.#history.write({ kind: 'truth', of, lsn, tables: truth.sums() });
    }
    this.#waiting = rest;
  }
}
