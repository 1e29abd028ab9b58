import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../../logging/logger.ts';
import { type Backoff, createBackoff } from '../../retry/backoff.ts';
import type { RunStore } from '../runs/run-store.ts';
import { type Asker, RunConflict, type RunOptions } from '../types.ts';
import { decide } from './due.ts';
import { Leadership } from './leadership.ts';
import { PlanRecord } from './plan-record.ts';
import { parseSchedule, type Schedule } from './schedule.ts';

/** What is to be run when. */
export interface Plan {
  /** Unique; the runs' asker. */
  readonly name: string;
  /** '' or 'off': never. */
  readonly cron: string;
  /** IANA name. */
  readonly timezone: string;
  readonly options: RunOptions;
}

export interface PlannedRun {
  readonly name: string;
  readonly cron: string;
  readonly timezone: string;
  /** Milliseconds since 1970; null: never. */
  readonly at: number | null;
}

export interface SchedulerOptions {
  store: RunStore;
  plans: readonly Plan[];
  /**
   * Makes a run with exactly this asker and executes it; resolves when it has ended. Rejects with RunConflict where another
   * holds the connectors.
   */
  start(options: RunOptions, asker: Asker): Promise<void>;
  /** When the first load ended, in milliseconds since 1970: it counts as a run. null: not yet. */
  firstLoadAt(): Promise<number | null>;
  log: Logger;
  signal: AbortSignal;
  instance: string;
  /** A leader that is not heard of for so long is replaced. */
  leaseMs: number;
  /** Milliseconds since 1970; tests pass their own. */
  now?: () => number;
}

const LONGEST_STEP_MS = 1_000;

/**
 * Starts runs at their planned times, in one of the processes that share the store. What is due is decided anew every
 * second from what the tables say and the clock's time now: neither a restart nor a clock that jumps makes more than one
 * run of what was missed.
 */
export class Scheduler {
  readonly #o: SchedulerOptions;
  readonly #plans: { readonly plan: Plan; readonly schedule: Schedule }[];
  readonly #leadership: Leadership;
  readonly #record: PlanRecord;
  readonly #now: () => number;
  /** Runs that this process has started, by plan. */
  readonly #started = new Map<string, Promise<void>>();
  /** Plans whose start failed, and until when (monotonic) they rest. */
  readonly #resting = new Map<string, { backoff: Backoff; until: number }>();
  readonly #waiting = new Set<string>();
  #failing = false;

  /** @throws RangeError for a plan whose schedule cannot be read, or two of one name */
  constructor(options: SchedulerOptions) {
    const { plans, store, instance, leaseMs } = options;
    this.#o = options;
    this.#now = options.now ?? Date.now;
    const double = plans.find(({ name }, i) => plans.findIndex((other) => other.name === name) !== i);
    if (double) throw new RangeError(`two schedules are named ${double.name}`);
    this.#plans = plans.flatMap((plan) => {
      const schedule = parseSchedule(plan.cron, plan.timezone);
      return schedule ? [{ plan, schedule }] : [];
    });
    this.#leadership = new Leadership({ pool: store.pool, schema: store.schema, instance, leaseMs });
    this.#record = new PlanRecord(store.pool, store.schema);
  }

  /** Whether this process plans. */
  get leads(): boolean {
    return this.#leadership.leads;
  }

  /** When each plan is due next. */
  next(): PlannedRun[] {
    return this.#o.plans.map(({ name, cron, timezone }) => {
      const known = this.#plans.find(({ plan }) => plan.name === name);
      return { name, cron, timezone, at: known?.schedule.next(this.#now()) ?? null };
    });
  }

  /** Plans until the signal aborts; resolves when the runs that were started have ended, too. Never rejects. */
  async run(): Promise<void> {
    const { signal, leaseMs } = this.#o;
    const stepMs = Math.min(LONGEST_STEP_MS, leaseMs / 4);
    while (!signal.aborted) {
      await this.#step();
      await sleep(stepMs, undefined, { signal }).catch(() => undefined);
    }
    await this.#leadership.release().catch(() => undefined);
    await Promise.all(this.#started.values());
  }

  async #step(): Promise<void> {
    const { log } = this.#o;
    try {
      const before = this.leads;
      const leads = await this.#leadership.step();
      if (leads && !before) log.info({ event: 'schedule_led' }, 'this instance plans the reconciliations now');
      if (leads && this.#plans.length > 0) {
        const firstLoadAt = await this.#o.firstLoadAt();
        for (const { plan, schedule } of this.#plans) await this.#look(plan, schedule, firstLoadAt);
      }
      this.#failing = false;
    } catch (err) {
      if (!this.#failing)
        log.warn({ event: 'schedule_failed', err }, 'the schedule could not be looked at; it goes on');
      this.#failing = true;
    }
  }

  async #look(plan: Plan, schedule: Schedule, firstLoadAt: number | null): Promise<void> {
    const { name, options } = plan;
    if (this.#started.has(name)) return;
    const recorded = await this.#record.read(name);
    const { runs } = await this.#o.store.list({ trigger: 'schedule', asker: name, limit: 1 });
    const { state, start } = decide(schedule, recorded, runs[0] ?? null, firstLoadAt, this.#now());
    const { token } = this.#leadership;
    if (token === null) return;
    if (!isDeepStrictEqual(state, recorded) && !(await this.#record.write(name, state, token))) return;
    if (!start || performance.now() < (this.#resting.get(name)?.until ?? 0)) return;
    if (await this.#isBusy(plan)) return;
    this.#o.log.info({ event: 'schedule_due', schedule: name, planned: state.due?.at }, 'a planned run starts');
    const started = this.#start(name, options).finally(() => this.#started.delete(name));
    this.#started.set(name, started);
  }

  /** Whether another run holds one of the plan's connectors: the plan then waits. */
  async #isBusy({ name, options }: Plan): Promise<boolean> {
    const running = await this.#o.store.running();
    const holder = running.find((run) => run.options.connectors.some((one) => options.connectors.includes(one)));
    if (!holder) {
      this.#waiting.delete(name);
      return false;
    }
    if (!this.#waiting.has(name)) {
      this.#o.log.info({ event: 'schedule_waits', schedule: name, run: holder.id }, 'a planned run waits for another');
    }
    this.#waiting.add(name);
    return true;
  }

  async #start(name: string, options: RunOptions): Promise<void> {
    try {
      await this.#o.start(options, { trigger: 'schedule', name });
      this.#resting.delete(name);
    } catch (err) {
      // Somebody was faster: the plan waits, as for any other run.
      if (err instanceof RunConflict) return;
      const backoff = this.#resting.get(name)?.backoff ?? createBackoff({ minMs: 1_000, maxMs: 60_000 });
      const retryMs = backoff.next();
      this.#resting.set(name, { backoff, until: performance.now() + retryMs });
      this.#o.log.error(
        { event: 'schedule_start_failed', schedule: name, err, retryMs },
        'a planned run did not start',
      );
    }
  }
}
