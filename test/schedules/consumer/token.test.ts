import { test } from 'node:test';
import { runSchedules } from '../run-schedules.ts';
import { TokenSchedule } from './token-schedule.ts';

/** TOKEN_SEED runs a single schedule again. */
const SCHEDULES = 10_000;

test('who has lost the token writes nothing more, and soon somebody else does, on random schedules', () =>
  runSchedules('TOKEN_SEED', SCHEDULES, (seed) => new TokenSchedule(seed).run()));
