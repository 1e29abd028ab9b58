/**
 * What a process says about itself to a supervisor: alive (its main loop moves) and ready (each named part is).
 * Reasons are for the log and for people with access; the open endpoints never show them.
 */

export interface Health {
  /** The main loop has just moved. To be called at least every few seconds. */
  live(): void;
  /** The part `name` is able to work, or is not and why. */
  ready(name: string, ok: boolean, reason?: string): void;
}

export interface PartState {
  ok: boolean;
  /** Why it is not ready; undefined where it is. */
  reason?: string;
  /** Milliseconds since the epoch of the last change. */
  since: number;
}

export interface HealthOptions {
  /** Without a sign of life for so long, the process counts as hung. */
  livenessMs?: number;
  /** A monotonic clock in milliseconds; tests pass their own. */
  monotonicMs?: () => number;
  /** Called at each change of a part's state, for the log. */
  onChange?: (name: string, state: PartState) => void;
}

/** The reading side of Health, for the HTTP server and the gauges. */
export interface HealthState extends Health {
  isLive(): boolean;
  /** Ready once at least one part has reported and all reported parts are well. */
  isReady(): boolean;
  parts(): ReadonlyMap<string, PartState>;
}

export const DEFAULT_LIVENESS_MS = 60_000;

/** Makes the state that run functions write to and that the HTTP server reads. Starts live and not ready. */
export function createHealth(options: HealthOptions = {}): HealthState {
  const livenessMs = options.livenessMs ?? DEFAULT_LIVENESS_MS;
  const monotonicMs = options.monotonicMs ?? (() => performance.now());
  const parts = new Map<string, PartState>();
  let lastSign = monotonicMs();

  return {
    live() {
      lastSign = monotonicMs();
    },
    ready(name, ok, reason) {
      const before = parts.get(name);
      const stated = ok ? undefined : (reason ?? 'not ready');
      if (before?.ok === ok && before.reason === stated) return;
      const state = { ok, reason: stated, since: Date.now() };
      parts.set(name, state);
      options.onChange?.(name, state);
    },
    isLive: () => monotonicMs() - lastSign < livenessMs,
    isReady: () => parts.size > 0 && [...parts.values()].every((part) => part.ok),
    parts: () => parts,
  };
}
