import { ENDED, type Run } from '../types.ts';
import type { PlanState } from './plan-record.ts';
import type { Schedule } from './schedule.ts';

/** A run whose process is killed each time is not started again and again. */
const MAX_ATTEMPTS = 3;
/** Clocks of the processes that plan may differ by less; by more, a clock was wrong. */
const CLOCK_TOLERANCE_MS = 3_600_000;

/** What is to be done about a plan. */
export interface PlanDecision {
  /** As the record should stand now. */
  readonly state: PlanState;
  /** Start a run. */
  readonly start: boolean;
}

/**
 * Decides about a plan by what is recorded of it and by its newest run; a pure function. Of all planned times that were
 * missed only the last one is made up. A run that was interrupted is made up too, a few times; however else it ended, it
 * was the planned one.
 * @param recorded null: the plan is new
 * @param newestRun the newest run that the plan has made
 * @param firstLoadAt when the first load ended, which counts as a run; null: not yet
 */
export function decide(
  schedule: Schedule,
  recorded: PlanState | null,
  newestRun: Run | null,
  firstLoadAt: number | null,
  now: number,
): PlanDecision {
  const before = recorded ?? begin(schedule, firstLoadAt ?? now);
  // Another expression means other times: what it would have meant in the past was nobody's plan.
  const changed = before.cron !== schedule.cron || before.timezone !== schedule.timezone;
  const wrongClock = before.handledAt > now + CLOCK_TOLERANCE_MS || (before.due?.at ?? 0) > now + CLOCK_TOLERANCE_MS;
  if (changed || wrongClock) return { state: begin(schedule, now), start: false };

  const { due } = before;
  const started = due !== null && newestRun !== null && newestRun.id !== due.runBefore ? newestRun : null;
  if (due && started) {
    if (!ENDED.includes(started.state)) return { state: before, start: false };
    if (started.state !== 'interrupted') return { state: { ...before, handledAt: due.at, due: null }, start: false };
  }
  const handledAt = Math.max(before.handledAt, Math.min(firstLoadAt ?? 0, now));
  const planned = schedule.previous(now);
  if (planned === null || planned <= handledAt) return { state: { ...before, due: null }, start: false };
  const attempts = due?.at === planned && started ? due.attempts + 1 : due?.at === planned ? due.attempts : 1;
  if (attempts > MAX_ATTEMPTS) return { state: { ...before, handledAt: planned, due: null }, start: false };
  return { state: { ...before, due: { at: planned, runBefore: newestRun?.id ?? null, attempts } }, start: true };
}

function begin({ cron, timezone }: Schedule, handledAt: number): PlanState {
  return { cron, timezone, handledAt, due: null };
}
