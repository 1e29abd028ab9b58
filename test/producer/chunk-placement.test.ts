import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ChunkSchedule } from './chunk-schedule.ts';

/** How many schedules of each kind are run; CHUNK_SEED runs a single one again. */
const SCHEDULES = 6_000;
const given = process.env.CHUNK_SEED === undefined ? null : Number(process.env.CHUNK_SEED);

describe('a chunk in its place of the stream', () => {
  for (const keyed of [true, false]) {
    test(`gives with it the table ${keyed ? 'with' : 'without'} a key, on random schedules`, () => {
      for (let seed = given ?? 1; seed <= (given ?? SCHEDULES); seed++) {
        try {
          new ChunkSchedule(seed, keyed).run();
        } catch (error) {
          assert.fail(`CHUNK_SEED=${seed}: ${error instanceof Error ? error.stack : error}`);
        }
      }
    });
  }
});
