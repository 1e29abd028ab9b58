import { test } from 'node:test';
import { runSchedules } from '../run-schedules.ts';
import { PositionSchedule } from './position-schedule.ts';

/** POSITION_SEED runs a single schedule again. */
const SCHEDULES = 10_000;

test('every transaction is in Kafka exactly once, and nothing else is acknowledged, on random schedules', () =>
  runSchedules('POSITION_SEED', SCHEDULES, (seed) => new PositionSchedule(seed).run()));
