/** Expressions over a row of the table `run`, which has to be named `run` in the statement. */

export const PROCESS_ENDED = 'the process that ran it has ended';

/**
 * Whether the process of a run that has not ended was killed, as far as one can see. One that only stood still (a machine
 * that was suspended) goes on with its run as long as nobody has taken the connectors.
 */
export function silent(silentMs: number): string {
  return `(run.state IN ('queued', 'running') AND run.seen_at < clock_timestamp() - interval '${Math.ceil(silentMs)} ms')`;
}

/** The state as it is to be shown: a silent run is interrupted, also before anybody has taken it over. */
export function stateNow(silentMs: number): string {
  return `CASE WHEN ${silent(silentMs)} THEN 'interrupted' ELSE run.state END`;
}

/** The run as JSON text in the shape of the type `Run`. */
export function runJson(silentMs: number): string {
  const isSilent = silent(silentMs);
  return `json_build_object(
    'id', run.id, 'options', run.options, 'asker', json_build_object('trigger', run.trigger, 'name', run.asked_by),
    'state', ${stateNow(silentMs)}, 'progress', run.progress,
    'found', run.found, 'repaired', run.repaired, 'left', run.left_over,
    'incomplete', to_json(coalesce(run.incomplete, run.connectors)), 'unknown', to_json(run.unknown_ids),
    'resumes', run.resumes, 'resumedBy', run.resumed_by, 'history', run.history, 'lsn', run.lsn::text,
    'requestedAt', ${milliseconds('run.requested_at')}, 'startedAt', ${milliseconds('run.started_at')},
    'endedAt', ${milliseconds(`CASE WHEN ${isSilent} THEN run.seen_at ELSE run.ended_at END`)},
    'notes', to_json(run.notes),
    'error', CASE WHEN ${isSilent} THEN json_build_object('message', '${PROCESS_ENDED}', 'stack', NULL)
      WHEN run.error_message IS NOT NULL THEN json_build_object('message', run.error_message, 'stack', run.error_stack)
    END)::text`;
}

/** Milliseconds since 1970 of a timestamptz, whole. */
export function milliseconds(timestamp: string): string {
  return `trunc(extract(epoch FROM ${timestamp}) * 1000)::bigint`;
}

/** Text as PostgreSQL takes it, in text and in jsonb: without NUL and without halves of characters. */
export function storable(text: string): string {
  return text.replaceAll('\0', '\uFFFD').toWellFormed();
}

/** JSON text that jsonb takes. */
export function storableJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'string' ? storable(inner) : inner));
}
