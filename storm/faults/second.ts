import { setTimeout as sleep } from 'node:timers/promises';
import type { Arena } from './arena.ts';
import { standStill } from './processes.ts';

/** A second one beside the first for so long: it must wait its turn. */
export async function second(arena: Arena, part: 'producer' | 'consumer', forMs: number): Promise<void> {
  const other = await arena.startSecond(part);
  try {
    await sleep(forMs);
  } finally {
    await other.stop();
  }
}

/** A second one takes over while the first stands still; the first wakes up as a zombie, and the second is killed. */
export async function secondBesideZombie(arena: Arena, part: 'producer' | 'consumer', forMs: number): Promise<void> {
  const other = await arena.startSecond(part);
  try {
    await standStill(arena, part, forMs);
    await sleep(1_000);
  } finally {
    await other.stop('SIGKILL');
  }
}
