import { Cron } from 'croner';

/** Planned times. All times are milliseconds since 1970. */
export interface Schedule {
  readonly cron: string;
  readonly timezone: string;
  /** The first planned time after `ms`; null: none comes any more. */
  next(ms: number): number | null;
  /** The last planned time up to and including `ms`; null: there was none. */
  previous(ms: number): number | null;
}

/** Words for no schedule at all. */
const OFF = new Set(['', 'off']);
const FIELDS = /^(@\w+|\S+(\s+\S+){4,5})$/;

/**
 * Reads a cron expression: five fields, or six with seconds in front, or a name such as @daily. A fixed time that falls
 * into the gap of a clock set forward comes right after it, one that occurs twice comes once; `*` and steps follow the clock.
 * @param timezone IANA name, such as America/Mexico_City
 * @returns null for '' and 'off'
 * @throws RangeError which says what is wrong
 */
export function parseSchedule(text: string, timezone: string): Schedule | null {
  const cron = text.trim();
  if (OFF.has(cron.toLowerCase())) return null;
  if (!isTimezone(timezone)) {
    throw new RangeError(`"${timezone}" is no time zone: expected an IANA name such as America/Mexico_City or UTC`);
  }
  if (!FIELDS.test(cron)) {
    throw new RangeError(
      `"${cron}" is no schedule: expected five fields (minute, hour, day, month, weekday) such as 0 3 * * *, or off`,
    );
  }
  const times = readCron(cron, timezone);
  const schedule: Schedule = {
    cron,
    timezone,
    next: (ms) => times.nextRun(new Date(ms))?.getTime() ?? null,
    // croner looks strictly before the time given.
    previous: (ms) => times.previousRuns(1, new Date(ms + 1))[0]?.getTime() ?? null,
  };
  if (schedule.next(Date.now()) === null) throw new RangeError(`"${cron}" is a time that never comes`);
  return schedule;
}

function readCron(cron: string, timezone: string): Cron {
  try {
    return new Cron(cron, { timezone, mode: '5-or-6-parts', fixedTimeRule: 'no-wildcard', paused: true });
  } catch (cause) {
    const reason = (cause as Error).message.replace(/^CronPattern: /, '');
    throw new RangeError(`"${cron}" is no schedule: ${reason}`, { cause });
  }
}

function isTimezone(name: string): boolean {
  try {
    return name !== '' && new Intl.DateTimeFormat('en', { timeZone: name }) !== null;
  } catch {
    return false;
  }
}

/** Whether two planned times have passed since `ms`, so that one run after it at least has not done its work. */
export function isOverdue(schedule: Schedule, ms: number, now: number): boolean {
  const first = schedule.next(ms);
  const second = first === null ? null : schedule.next(first);
  return second !== null && second <= now;
}
