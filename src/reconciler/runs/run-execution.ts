import { setTimeout as sleep } from 'node:timers/promises';
import type { Cursor, Difference, Outcome, Progress, Run, RunFunction, RunRecorder } from '../types.ts';
import { LeaseLost, RunCancelled } from './run-errors.ts';
import { RunFindings } from './run-findings.ts';
import type { RunObserver } from './run-observer.ts';
import type { Ending, RunWriter } from './run-writer.ts';

/** At most so often something is written. */
const WRITE_EVERY_MS = 250;
/** A cancelled run is to know it within a second. */
const BEAT_EVERY_MS = 500;
/** With more differences than this waiting to be written, whoever finds more waits. */
const MAX_WAITING = 1_000;
/** What was told to stop may take so long to end in order; then the run ends without it. */
const GRACE_MS = 3_000;

export interface RunExecutionOptions {
  /** The run, which has just begun. */
  run: Run;
  resumeFrom: Cursor | null;
  writer: RunWriter;
  silentMs: number;
  differencesPerRun: number;
  observer: RunObserver | null;
  /** Aborts when the process ends. */
  signal: AbortSignal;
}

/** One execution of a run: lets it work, and writes what it tells until it has ended. */
export class RunExecution implements RunRecorder {
  readonly run: Run;
  readonly resumeFrom: Cursor | null;
  readonly #o: RunExecutionOptions;
  readonly #findings: RunFindings;
  readonly #stop = new AbortController();
  /** Set while nothing is to be written: called when something is. */
  #wake: (() => void) | null = null;
  #dirty = false;
  /** The work has ended: what still comes is not part of the run. */
  #over = false;
  #written = Promise.withResolvers<void>();

  constructor(options: RunExecutionOptions) {
    this.#o = options;
    this.run = options.run;
    this.resumeFrom = options.resumeFrom;
    const { progress, notes } = options.run;
    this.#findings = new RunFindings(progress, options.resumeFrom, notes, options.differencesPerRun);
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  progress(change: Partial<Progress>, cursor?: Cursor): void {
    if (this.#over) return;
    this.#findings.progress = { ...this.#findings.progress, ...change };
    if (cursor !== undefined) this.#findings.cursor = cursor;
    this.#changed();
  }

  async differences(found: readonly Difference[]): Promise<void> {
    if (this.#over || found.length === 0) return;
    this.#findings.add(found);
    this.#o.observer?.found(found);
    this.#changed();
    await this.#untilWaiting(MAX_WAITING);
  }

  async asked(found: readonly Difference[]): Promise<(became: readonly Difference[]) => void> {
    if (this.#over || found.length === 0) return () => undefined;
    const first = this.#findings.add(found);
    this.#changed();
    await this.#untilWaiting(0);
    return (became) => {
      if (this.#over) return;
      this.#findings.became(first, found, became);
      this.#o.observer?.found(became);
      this.#changed();
    };
  }

  /** Waits until no more differences than so many wait to be written. */
  async #untilWaiting(most: number): Promise<void> {
    while (!this.#over && this.#findings.waiting.length > most) {
      this.signal.throwIfAborted();
      await this.#written.promise;
    }
    this.signal.throwIfAborted();
  }

  note(text: string): void {
    this.#findings.note(text);
    this.#changed();
  }

  position(history: number | null, lsn: string | null): void {
    this.#findings.position = { history, lsn };
    this.#changed();
  }

  /**
   * Executes the run. @returns the run as it ended
   * @throws LeaseLost where its end could not be written: another process has taken it over, or may have
   */
  async execute(work: RunFunction, beforeEnd: (ending: Ending) => Promise<void>): Promise<Run> {
    const processEnds = (): void => this.#stop.abort(this.#o.signal.reason);
    this.#o.signal.addEventListener('abort', processEnds, { once: true });
    if (this.#o.signal.aborted) processEnds();
    const worked = new AbortController();
    const writing = this.#keepWriting(worked.signal);
    try {
      const ending = await this.#settle(work);
      this.#over = true;
      await beforeEnd(ending).catch((error: Error) => this.#findings.note(`while ending: ${error.message}`));
      this.#dirty = true;
      worked.abort();
      this.#wake?.();
      await writing;
      if (this.signal.reason instanceof LeaseLost) throw this.signal.reason;
      do await this.#o.writer.write(this.#findings);
      while (this.#findings.waiting.length > 0);
      const run = await this.#o.writer.end(ending);
      this.#o.observer?.ended(run);
      return run;
    } catch (error) {
      this.#o.observer?.ended({ ...this.run, state: 'interrupted', endedAt: Date.now() });
      throw error;
    } finally {
      worked.abort();
      this.#o.signal.removeEventListener('abort', processEnds);
    }
  }

  /** Lets the run work to its end, or for a moment longer once it was told to stop. */
  async #settle(work: RunFunction): Promise<Ending> {
    const { signal } = this;
    const settled = new AbortController();
    const working = (async () => {
      signal.throwIfAborted();
      return work(this);
    })();
    const stopped = (async (): Promise<never> => {
      if (!signal.aborted) {
        await new Promise((resolve) => {
          signal.addEventListener('abort', resolve, { once: true, signal: settled.signal });
        });
      }
      await sleep(GRACE_MS, undefined, { signal: settled.signal });
      throw signal.reason;
    })();
    // The one that loses the race may fail later.
    working.catch(() => undefined);
    stopped.catch(() => undefined);
    try {
      return this.#endedWith(await Promise.race([working, stopped]));
    } catch (error) {
      return signal.aborted ? this.#stoppedBy(signal.reason) : without('failed', describe(error));
    } finally {
      settled.abort();
    }
  }

  #stoppedBy(reason: unknown): Ending {
    if (reason instanceof RunCancelled) {
      this.#findings.note(reason.message);
      return without('cancelled', null);
    }
    return without('interrupted', { message: 'the process that ran it was asked to end', stack: null });
  }

  #endedWith({ state, incomplete, unknown = [] }: Outcome): Ending {
    const all = state === 'undecided' ? this.run.options.connectors : [];
    return { state, error: null, incomplete: incomplete ?? all, unknown };
  }

  /** Writes what changed, and that we live, until the work has ended. Never rejects: a loss aborts the run's signal. */
  async #keepWriting(worked: AbortSignal): Promise<void> {
    try {
      while (!worked.aborted) {
        const by = await this.#writeOnce();
        if (by !== null) this.#stop.abort(new RunCancelled(`cancelled by ${by}`));
        await sleep(Math.min(WRITE_EVERY_MS, this.#o.silentMs / 8), undefined, { signal: worked }).catch(
          () => undefined,
        );
        if (!worked.aborted && !this.#dirty) await this.#somethingToWrite();
      }
    } catch (error) {
      this.#stop.abort(error);
    } finally {
      this.#written.resolve();
    }
  }

  async #writeOnce(): Promise<string | null> {
    if (!this.#dirty) return this.#o.writer.beat();
    this.#dirty = false;
    const by = await this.#o.writer.write(this.#findings);
    if (this.#findings.waiting.length > 0) this.#dirty = true;
    this.#written.resolve();
    this.#written = Promise.withResolvers();
    return by;
  }

  #changed(): void {
    this.#dirty = true;
    this.#wake?.();
  }

  async #somethingToWrite(): Promise<void> {
    const waiting = Promise.withResolvers<void>();
    const timer = setTimeout(waiting.resolve, Math.min(BEAT_EVERY_MS - WRITE_EVERY_MS, this.#o.silentMs / 8));
    this.#wake = waiting.resolve;
    await waiting.promise;
    this.#wake = null;
    clearTimeout(timer);
  }
}

/** An end without a result. */
function without(state: Ending['state'], error: Ending['error']): Ending {
  return { state, error, incomplete: null, unknown: [] };
}

function describe(error: unknown): { message: string; stack: string | null } {
  if (!(error instanceof Error)) return { message: String(error), stack: null };
  const stacks: string[] = [];
  for (let at: unknown = error; at instanceof Error && stacks.length < 10; at = at.cause) {
    stacks.push(at.stack ?? `${at.name}: ${at.message}`);
  }
  return { message: error.message, stack: stacks.join('\ncaused by ') };
}
