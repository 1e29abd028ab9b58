import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decide } from '../../../src/reconciler/schedule/due.ts';
import type { PlanState } from '../../../src/reconciler/schedule/plan-record.ts';
import { parseSchedule } from '../../../src/reconciler/schedule/schedule.ts';
import type { Run, RunState } from '../../../src/reconciler/types.ts';

const HOUR = 3_600_000;
const START = Date.UTC(2026, 5, 1, 0, 30);
const hourly = parseSchedule('0 * * * *', 'UTC')!;
const other = parseSchedule('20 * * * *', 'UTC')!;

/** A plan in a world of its own: its record, its newest run, the clock. */
class World {
  now = START;
  firstLoadAt: number | null = START;
  schedule = hourly;
  record: PlanState | null = null;
  newest: Run | null = null;
  runs = 0;

  /** One look of the scheduler. @returns whether a run is to be started */
  look(): boolean {
    const { state, start } = decide(this.schedule, this.record, this.newest, this.firstLoadAt, this.now);
    this.record = state;
    return start;
  }

  /** A run of the plan begins. */
  begin(): void {
    this.runs += 1;
    this.newest = { id: `run ${this.runs}`, state: 'running' } as Run;
  }

  end(state: RunState): void {
    this.newest = { ...this.newest!, state };
  }

  /** Looks, and lets what is due run to its end. @returns how many runs that were */
  settle(state: RunState = 'equal'): number {
    const before = this.runs;
    for (let looks = 0; looks < 10; looks++) {
      if (!this.look()) continue;
      this.begin();
      this.end(state);
    }
    return this.runs - before;
  }
}

describe('what is due', () => {
  test('a planned time is, once', () => {
    const world = new World();
    assert.equal(world.settle(), 0);
    world.now = START + HOUR / 2 - 1;
    assert.equal(world.settle(), 0);
    world.now += 1;
    assert.equal(world.settle(), 1);
    world.now += HOUR - 1;
    assert.equal(world.settle(), 0);
    world.now += 1;
    assert.equal(world.settle(), 1);
  });

  test('of many missed times one is made up', () => {
    const world = new World();
    world.settle();
    world.now += 1_000 * HOUR;
    assert.equal(world.settle(), 1);
  });

  test('before the first load nothing was missed, and the first load counts as a run', () => {
    const fresh = new World();
    fresh.firstLoadAt = null;
    assert.equal(fresh.settle(), 0);
    fresh.now += 10 * HOUR;
    fresh.firstLoadAt = fresh.now;
    assert.equal(fresh.settle(), 0);
    fresh.now += HOUR;
    assert.equal(fresh.settle(), 1);
    const loadedLongAgo = new World();
    loadedLongAgo.firstLoadAt = START - 100 * HOUR;
    assert.equal(loadedLongAgo.settle(), 1, 'nothing was proven since');
  });

  test('while it waits for another run it stays due, and is one run however long that takes', () => {
    const world = new World();
    world.settle();
    for (let hour = 1; hour <= 5; hour++) {
      world.now = START + hour * HOUR;
      assert.equal(world.look(), true);
    }
    assert.equal(world.settle(), 1);
  });

  test('a run of the plan that another process has under way is waited for', () => {
    const world = new World();
    world.settle();
    world.now += HOUR;
    assert.equal(world.look(), true);
    world.begin();
    world.now += HOUR;
    assert.equal(world.look(), false);
    world.end('equal');
    assert.equal(world.settle(), 1, 'the time that came meanwhile');
  });

  test('an interrupted run is made up; one that is interrupted each time is given up', () => {
    const world = new World();
    world.settle();
    world.now += HOUR;
    assert.equal(world.look(), true);
    world.begin();
    world.end('interrupted');
    assert.equal(world.settle(), 1);
    world.now += HOUR;
    assert.equal(world.settle('interrupted'), 3);
    world.now += HOUR;
    assert.equal(world.settle(), 1, 'the next time is another matter');
  });

  test('however else a run has ended, it was the planned one', () => {
    const ends: RunState[] = ['equal', 'repaired', 'differences', 'undecided', 'cancelled', 'failed'];
    for (const state of ends) {
      const world = new World();
      world.settle();
      world.now += HOUR;
      assert.equal(world.settle(state), 1, state);
    }
  });

  test('another expression or time zone begins now: what it means in the past was not planned', () => {
    const world = new World();
    world.settle();
    world.schedule = other;
    world.now += 10 * HOUR;
    assert.equal(world.settle(), 0);
    world.now += HOUR;
    assert.equal(world.settle(), 1);
  });

  test('a clock that jumps makes no burst and stops nothing for long', () => {
    const world = new World();
    world.settle();
    world.now += 10_000 * HOUR;
    assert.equal(world.settle(), 1, 'forward');
    world.now -= 10_000 * HOUR;
    assert.equal(world.settle(), 0, 'and back');
    world.now += HOUR;
    assert.equal(world.settle(), 1, 'it goes on at the next time of the right clock');
    world.now -= 60_000;
    assert.equal(world.settle(), 0, 'a little back');
    world.now += 120_000;
    assert.equal(world.settle(), 0, 'the same time once more');
  });

  test('whatever happens, each look leaves at most one run to be made, and the last planned time is never forgotten', () => {
    const happening = fc.oneof(
      fc.record({ what: fc.constant('time' as const), ms: fc.integer({ min: 1, max: 5 * HOUR }) }),
      fc.record({ what: fc.constant('look' as const) }),
      fc.record({ what: fc.constant('begin' as const) }),
      fc.record({
        what: fc.constant('end' as const),
        state: fc.constantFrom<RunState>('equal', 'failed', 'cancelled', 'interrupted'),
      }),
    );
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 60 }), (list) => {
        const world = new World();
        world.look();
        let mayBegin = false;
        let planned = 0;
        let interrupted = 0;
        for (const event of list) {
          if (event.what === 'time') {
            const before = hourly.previous(world.now);
            world.now += event.ms;
            if (hourly.previous(world.now) !== before) planned += 1;
          }
          if (event.what === 'look') mayBegin = world.look();
          if (event.what === 'begin' && mayBegin) {
            world.begin();
            mayBegin = false;
          }
          if (event.what === 'end' && world.newest?.state === 'running') {
            world.end(event.state);
            if (event.state === 'interrupted') interrupted += 1;
          }
        }
        assert.ok(world.runs <= planned + interrupted, `${world.runs} runs for ${planned} times`);
        if (world.newest?.state === 'running') world.end('equal');
        world.settle();
        assert.equal(world.settle(), 0);
        assert.equal(world.record?.due, null);
        const last = hourly.previous(world.now)!;
        assert.ok(last <= START || world.record!.handledAt >= last);
      }),
      { numRuns: 500 },
    );
  });
});
