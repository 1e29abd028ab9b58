import { test } from 'node:test';
import { runSchedules } from '../run-schedules.ts';
import { MergeSchedule } from './merge-schedule.ts';

/** MERGE_SEED runs a single schedule again. */
const SCHEDULES = 20_000;

test('units come out whole, in order and once, and what cannot be applied is found, on random schedules', () =>
  runSchedules('MERGE_SEED', SCHEDULES, (seed) => new MergeSchedule(seed).run()));
