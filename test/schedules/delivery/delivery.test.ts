import { test } from 'node:test';
import { runSchedules } from '../run-schedules.ts';
import { DeliverySchedule } from './delivery-schedule.ts';

/** DELIVERY_SEED runs a single schedule again. */
const SCHEDULES = 10_000;

test('FASTAAPS is always one commit, and in the end the newest, on random schedules', () =>
  runSchedules('DELIVERY_SEED', SCHEDULES, (seed) => new DeliverySchedule(seed).run()));
