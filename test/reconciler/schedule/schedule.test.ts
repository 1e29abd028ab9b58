import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isOverdue, parseSchedule } from '../../../src/reconciler/schedule/schedule.ts';

const at = (text: string) => Date.parse(text);
const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString().replace('.000', ''));

describe('reading a schedule', () => {
  test('nothing and off mean never', () => {
    for (const text of ['', ' ', 'off', 'OFF']) assert.equal(parseSchedule(text, 'UTC'), null);
  });

  test('what is none is refused with the reason', () => {
    const wrong: [string, string, RegExp][] = [
      ['nightly', 'UTC', /"nightly" is no schedule: expected five fields.*or off/],
      ['* * * *', 'UTC', /expected five fields/],
      ['2026-01-01T00:00:00', 'UTC', /expected five fields/],
      ['0 99 * * *', 'UTC', /"0 99 \* \* \*" is no schedule: .*hour/],
      ['@reboot', 'UTC', /no schedule/],
      ['0 0 31 2 *', 'UTC', /never comes/],
      ['0 3 * * *', 'America/Mexiko', /"America\/Mexiko" is no time zone: .*America\/Mexico_City/],
      ['0 3 * * *', '', /no time zone/],
    ];
    for (const [text, timezone, message] of wrong) {
      assert.throws(
        () => parseSchedule(text, timezone),
        (error) => error instanceof RangeError && message.test(error.message),
        `${text} ${timezone}`,
      );
    }
  });

  test('next is after a moment, previous up to and including it', () => {
    const schedule = parseSchedule('0 3 * * *', 'America/Mexico_City')!;
    const planned = at('2026-06-01T09:00:00Z');
    assert.equal(iso(schedule.next(planned - 1)), '2026-06-01T09:00:00Z');
    assert.equal(iso(schedule.next(planned)), '2026-06-02T09:00:00Z');
    assert.equal(iso(schedule.previous(planned)), '2026-06-01T09:00:00Z');
    assert.equal(iso(schedule.previous(planned + 999)), '2026-06-01T09:00:00Z');
    assert.equal(iso(schedule.previous(planned - 1)), '2026-05-31T09:00:00Z');
  });

  test('a fixed time in the gap of a clock set forward comes after it, one that occurs twice comes once', () => {
    // Madrid, 2026: 29 March 02:00 -> 03:00, 25 October 03:00 -> 02:00.
    for (const cron of ['30 2 * * *', '30 2,14 * * *']) {
      const schedule = parseSchedule(cron, 'Europe/Madrid')!;
      const gap = schedule.next(at('2026-03-28T14:00:00Z'))!;
      assert.ok(gap >= at('2026-03-29T01:00:00Z') && gap <= at('2026-03-29T01:30:00Z'), iso(gap)!);
      assert.equal(schedule.previous(gap), gap);
      const twice = schedule.next(at('2026-10-24T14:00:00Z'))!;
      assert.equal(iso(twice), '2026-10-25T00:30:00Z');
      assert.ok(schedule.next(twice)! > at('2026-10-25T01:30:00Z'));
      assert.equal(schedule.previous(at('2026-10-25T02:00:00Z')), twice);
    }
  });

  test('every planned time is reached from before and from after, through a year of changing clocks', () => {
    for (const [cron, timezone] of [
      ['30 2 * * *', 'Europe/Madrid'],
      ['15 */6 * * 1-5', 'America/Tijuana'],
      ['0 2 1,15 * *', 'Australia/Lord_Howe'],
    ] as const) {
      const schedule = parseSchedule(cron, timezone)!;
      let now = at('2026-01-01T00:00:00Z');
      for (let count = 0; now < at('2027-01-01T00:00:00Z'); count++) {
        const next = schedule.next(now)!;
        assert.ok(next > now && count < 2_000);
        assert.equal(schedule.previous(next), next);
        if (count > 0) assert.equal(iso(schedule.previous(next - 1)), iso(now));
        now = next;
      }
    }
  });
});

describe('being overdue', () => {
  test('begins with the second planned time after the last proof, over weekends too', () => {
    const schedule = parseSchedule('0 3 * * 1-5', 'UTC')!;
    const friday = at('2026-06-05T03:20:00Z');
    assert.equal(isOverdue(schedule, friday, at('2026-06-08T02:59:00Z')), false);
    assert.equal(isOverdue(schedule, friday, at('2026-06-08T12:00:00Z')), false);
    assert.equal(isOverdue(schedule, friday, at('2026-06-09T02:59:59Z')), false);
    assert.equal(isOverdue(schedule, friday, at('2026-06-09T03:00:00Z')), true);
  });
});
