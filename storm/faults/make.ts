import type { Fault } from '../plan.ts';
import type { Arena } from './arena.ts';
import { kill, killTwice, standStill, terminate } from './processes.ts';
import { emptyRegistry } from './registry.ts';
import { second, secondBesideZombie } from './second.ts';

/** So long a fault that waits for traffic (a changeset, an EndTxn) may wait for it. */
const TRAFFIC_WITHIN_MS = 30_000;

/**
 * Makes one fault, and waits until it is over. What it says is logged with it.
 * @throws where it could not be made
 */
export async function makeFault(arena: Arena, fault: Fault): Promise<Record<string, unknown>> {
  switch (fault.family) {
    case 'kill':
      await kill(arena, fault.part);
      break;
    case 'kill-starting':
    case 'kill-recovering':
      await killTwice(arena, fault.part, fault.afterMs);
      break;
    case 'term':
      await terminate(arena, fault.part);
      break;
    case 'stop':
      await standStill(arena, fault.part, fault.forMs);
      break;
    case 'cut':
      arena.links[fault.link].cut();
      break;
    case 'hole':
      await arena.links[fault.link].blackHole(fault.forMs);
      break;
    case 'slow':
      await arena.links[fault.link].slow(fault.forMs, fault.delayMs);
      break;
    case 'cut-after':
      arena.links[fault.link].cutAfter(fault.bytes);
      break;
    case 'end-txn':
      return await inTime(arena.endTxn.next(), 'a commit of a Kafka transaction');
    case 'second':
      await second(arena, fault.part, fault.forMs);
      break;
    case 'second-beside-zombie':
      await secondBesideZombie(arena, fault.part, fault.forMs);
      break;
    case 'fastaaps':
      await inTime(arena.fastaaps.next(fault.answer, fault.times), 'a changeset');
      break;
    case 'registry-emptied':
      await emptyRegistry(arena);
      break;
    case 'clock':
      arena.clocks!.step(fault.direction === 'forward' ? fault.seconds : -fault.seconds);
      break;
  }
  return {};
}

async function inTime<T>(work: Promise<T>, what: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), TRAFFIC_WITHIN_MS);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
