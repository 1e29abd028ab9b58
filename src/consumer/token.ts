import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { LeaseConfig } from '../config/types.ts';
import type { Logger } from '../logging/logger.ts';
import { quoteIdentifier } from '../postgres/identifier.ts';
import { TokenLost } from './broken-history.ts';
import { type Lease, mayTakeOver, type WatchedLease, watchLease } from './take-over.ts';

export interface AcquireOptions {
  syncSchema: string;
  instanceId: string;
  lease: LeaseConfig;
  log: Logger;
  signal: AbortSignal;
  /** Called while another instance works, once a renewal period. */
  onStandby(holder: string | null): void;
}

/** Waits until this instance may take the token, and raises it. Rejects with the signal's reason when aborted. */
export async function acquireToken(client: pg.ClientBase, options: AcquireOptions): Promise<string> {
  const table = `${quoteIdentifier(options.syncSchema)}.checkpoint`;
  const { instanceId, lease: times, log, signal } = options;
  let watched: WatchedLease | null = null;
  for (;;) {
    signal.throwIfAborted();
    const { rows } = await client.query<Lease>(`SELECT token::text, holder, renewals::text FROM ${table}`);
    const now = performance.now();
    watched = watchLease(watched, rows[0]!, now);
    if (mayTakeOver(watched, instanceId, now, times.timeoutMs)) {
      const { token, holder, renewals } = watched.lease;
      const taken = await client.query<{ token: string }>(
        `UPDATE ${table} SET token = token + 1, holder = $1, renewals = 0
         WHERE token = $2 AND renewals = $3 AND holder IS NOT DISTINCT FROM $4 RETURNING token::text`,
        [instanceId, token, renewals, holder],
      );
      const mine = taken.rows[0];
      if (mine) {
        // The field is not called token: the logger removes what is.
        log.info({ event: 'lease_taken', lease: mine.token, before: holder }, 'this instance works now');
        return mine.token;
      }
    } else {
      options.onStandby(watched.lease.holder);
    }
    await sleep(times.renewMs, undefined, { signal });
  }
}

/** What the server says where a statement waited too long, for a lock or at all. */
const WAITED = new Set(['55P03', '57014']);

/**
 * Renews the lease until it is stopped, and looks whether the connector is paused: `onPaused` hears of it with each
 * renewal. A renewal that cannot get at the row is no loss: the apply transaction, which
 * locks the row at its end and may be long in its COMMIT, counts as one. `onLost` is called once, where another has taken over or the database does not
 * answer.
 */
export function keepToken(
  client: pg.ClientBase,
  syncSchema: string,
  token: string,
  times: LeaseConfig,
  onLost: (error: unknown) => void,
  onPaused: (paused: boolean) => void = () => undefined,
): { stop(): Promise<void> } {
  const table = `${quoteIdentifier(syncSchema)}.checkpoint`;
  const stopping = new AbortController();
  const renew = async () => {
    // Losing the last renewals in a crash of the server loses nothing: there is no need to wait for its disk.
    await client.query(`SET synchronous_commit = off; SET statement_timeout = ${Math.ceil(times.timeoutMs)}`);
    while (!stopping.signal.aborted) {
      const { rows } = await client
        .query<{ paused: boolean }>(`UPDATE ${table} SET renewals = renewals + 1 WHERE token = $1 RETURNING paused`, [
          token,
        ])
        .catch((error: { code?: string }) => {
          if (!WAITED.has(error.code ?? '')) throw error;
          return client.query<{ paused: boolean }>(`SELECT paused FROM ${table} WHERE token = $1`, [token]);
        });
      const row = rows[0];
      if (!row) throw new TokenLost(`token ${token} is no longer valid: another consumer has taken over`);
      onPaused(row.paused);
      await sleep(times.renewMs, undefined, { signal: stopping.signal }).catch(() => undefined);
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

/** Gives the token back, so that a standby need not wait; without effect where it is not ours any more. */
export async function releaseToken(client: pg.ClientBase, syncSchema: string, token: string): Promise<void> {
  await client.query(`UPDATE ${quoteIdentifier(syncSchema)}.checkpoint SET holder = NULL WHERE token = $1`, [token]);
}
