import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Logger } from '../../src/logging/logger.ts';
import { OverdueAlarm } from '../../src/reconciler/overdue-alarm.ts';
import type { RunStore } from '../../src/reconciler/runs/run-store.ts';
import { parseSchedule } from '../../src/reconciler/schedule/schedule.ts';

test('a proof that is older than two periods is told once, and so is its end', async () => {
  const told: string[] = [];
  const note = ({ event }: { event: string }) => told.push(event);
  let provenAt = Date.now();
  const store = {
    running: async () => [],
    lastSuccess: async () => null,
    lastVerdict: async () => provenAt,
    ageOfProof: async () => ({ oldest: null, newest: null, documents: 0 }),
  } as unknown as RunStore;
  const alarm = new OverdueAlarm(
    {
      ...{ store, connectors: ['epsa'], firstLoadAt: async () => null },
      schedules: () => [parseSchedule('*/15 * * * *', 'UTC')!],
    },
    { error: note, info: note } as unknown as Logger,
  );
  await alarm.look();
  assert.deepEqual(told, []);
  provenAt -= 46 * 60_000;
  for (let i = 0; i < 3; i++) await alarm.look();
  assert.deepEqual(told, ['proof_overdue']);
  provenAt = Date.now();
  for (let i = 0; i < 3; i++) await alarm.look();
  assert.deepEqual(told, ['proof_overdue', 'proof_on_time']);
});
