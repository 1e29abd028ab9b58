/** The lease as the checkpoint row shows it. */
export interface Lease {
  token: string;
  /** Instance that holds the token; null where it was given back. */
  holder: string | null;
  renewals: string;
}

/** A lease and since when it stands like this, by the watcher's own monotonic clock in milliseconds. */
export interface WatchedLease {
  lease: Lease;
  sinceMs: number;
}

/** Notes what was seen at `nowMs`. Only movement counts; clocks of other machines are not compared. */
export function watchLease(before: WatchedLease | null, lease: Lease, nowMs: number): WatchedLease {
  const stands =
    before !== null &&
    before.lease.token === lease.token &&
    before.lease.renewals === lease.renewals &&
    before.lease.holder === lease.holder;
  return { lease, sinceMs: stands ? before.sinceMs : nowMs };
}

/**
 * Whether a newcomer may raise the token: nobody holds it, it is the newcomer's own from before a restart, or its holder
 * has not renewed it for the whole timeout.
 */
export function mayTakeOver(watched: WatchedLease, instanceId: string, nowMs: number, timeoutMs: number): boolean {
  const { holder } = watched.lease;
  return holder === null || holder === instanceId || nowMs - watched.sinceMs >= timeoutMs;
}
