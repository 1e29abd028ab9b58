import { describe, test } from 'node:test';
import { runSchedules } from '../run-schedules.ts';
import { ChunkSchedule } from './chunk-schedule.ts';

/** How many schedules of each kind are run; CHUNK_SEED runs a single one again. */
const SCHEDULES = 6_000;

describe('a chunk in its place of the stream', () => {
  for (const keyed of [true, false]) {
    test(`gives with it the table ${keyed ? 'with' : 'without'} a key, on random schedules`, () =>
      runSchedules('CHUNK_SEED', SCHEDULES, (seed) => new ChunkSchedule(seed, keyed).run()));
  }
});
