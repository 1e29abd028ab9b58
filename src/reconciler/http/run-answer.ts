import { ENDED, type Run } from '../types.ts';

export const BASE = '/api/v1';

/** Where a run is found. */
export function runUrl(id: string): string {
  return `${BASE}/reconciliations/${id}`;
}

/** A run as the API shows it: times in ISO 8601. */
export function runAnswer(run: Run): Record<string, unknown> {
  return {
    id: run.id,
    url: runUrl(run.id),
    state: run.state,
    ended: ENDED.includes(run.state),
    options: run.options,
    asker: run.asker,
    progress: run.progress,
    found: run.found,
    repaired: run.repaired,
    left: run.left,
    incomplete: run.incomplete,
    unknown: run.unknown,
    resumes: run.resumes,
    resumedBy: run.resumedBy,
    history: run.history,
    lsn: run.lsn,
    requestedAt: isoTime(run.requestedAt),
    startedAt: isoTime(run.startedAt),
    endedAt: isoTime(run.endedAt),
    notes: run.notes,
    error: run.error,
  };
}

/** Milliseconds since 1970 as ISO 8601. */
export function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
