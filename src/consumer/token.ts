import { setTimeout as sleep } from 'node:timers/promises';
import type { LeaseConfig } from '../config/types.ts';
import type { Logger } from '../logging/logger.ts';
import { TokenLost } from './broken-history.ts';
import type { LeaseTable } from './lease-table.ts';
import { mayTakeOver, type WatchedLease, watchLease } from './take-over.ts';

/** Monotonic time in milliseconds, and waiting by it. */
export interface Clock {
  now(): number;
  /** Rejects when the signal aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

const CLOCK: Clock = { now: () => performance.now(), sleep: (ms, signal) => sleep(ms, undefined, { signal }) };

export interface AcquireOptions {
  instanceId: string;
  lease: LeaseConfig;
  log: Logger;
  signal: AbortSignal;
  /** Called while another instance works, once a renewal period. */
  onStandby(holder: string | null): void;
}

/** Waits until this instance may take the token, and raises it. Rejects with the signal's reason when aborted. */
export async function acquireToken(table: LeaseTable, options: AcquireOptions, clock = CLOCK): Promise<string> {
  const { instanceId, lease: times, log, signal } = options;
  let watched: WatchedLease | null = null;
  for (;;) {
    signal.throwIfAborted();
    const lease = await table.read();
    const now = clock.now();
    watched = watchLease(watched, lease, now);
    if (mayTakeOver(watched, instanceId, now, times.timeoutMs)) {
      const mine = await table.raise(lease, instanceId);
      if (mine !== null) {
        // The field is not called token: the logger removes what is.
        log.info({ event: 'lease_taken', lease: mine, before: lease.holder }, 'this instance works now');
        return mine;
      }
    } else {
      options.onStandby(lease.holder);
    }
    await clock.sleep(times.renewMs, signal);
  }
}

/**
 * Renews the lease until it is stopped, and looks whether the connector is paused: `onPaused` hears of it with each
 * renewal. `onLost` is called once, where another has taken over or the database does not answer.
 */
export function keepToken(
  table: LeaseTable,
  token: string,
  times: LeaseConfig,
  onLost: (error: unknown) => void,
  onPaused: (paused: boolean) => void = () => undefined,
  clock = CLOCK,
): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const renew = async () => {
    while (!stopping.signal.aborted) {
      const row = await table.renew(token);
      if (!row) throw new TokenLost(`token ${token} is no longer valid: another consumer has taken over`);
      onPaused(row.paused);
      await clock.sleep(times.renewMs, stopping.signal).catch(() => undefined);
    }
  };
  const running = renew().catch((error: unknown) => {
    if (!stopping.signal.aborted) onLost(error);
  });
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
