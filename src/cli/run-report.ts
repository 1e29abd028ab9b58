import type { Counts, Difference, Run, RunState } from '../reconciler/types.ts';
import { count, duration } from './progress-line.ts';

const RESULTS: Readonly<Record<RunState, string>> = {
  queued: 'queued',
  running: 'running',
  interrupted: 'interrupted',
  equal: 'equal: SIIRAyS and FASTAAPS hold the same',
  repaired: 'repaired: all that differed is right now',
  differences: 'differences',
  undecided: 'undecided',
  cancelled: 'cancelled',
  failed: 'failed',
};

/** A run that has ended, for a person: result, figures, the first differences, and where the rest is. */
export function describeRun(run: Run, differences: readonly Difference[]): string {
  const { progress, found, repaired, left, options } = run;
  const ms = run.startedAt !== null && run.endedAt !== null ? run.endedAt - run.startedAt : 0;
  const lines = [`${RESULTS[run.state]}  (${duration(ms)}${run.lsn ? `, SIIRAyS at ${run.lsn}` : ''})`];
  lines.push(`  compared   ${count(progress.rows)} rows, ${count(progress.documents)} documents`);
  if (total(found) > 0) lines.push(`  found      ${kinds(found)}`);
  if (total(repaired) > 0) lines.push(`  repaired   ${kinds(repaired)}`);
  if (options.mode !== 'verify' && total(left) > 0) lines.push(`  left       ${kinds(left)}`);
  if (run.state === 'differences' && run.incomplete.length > 0) {
    lines.push(`  undecided  something else of ${run.incomplete.join(', ')}: this is not all that could be said`);
  }
  for (const note of run.notes) lines.push(`  note       ${note}`);
  if (run.error) lines.push(`  error      ${run.error.message}`);
  for (const difference of differences) lines.push(...describeDifference(difference));
  const more = total(found) - differences.length;
  if (more > 0) lines.push(`  … and ${count(more)} more: --json, or GET /api/v1/reconciliations/${run.id}/differences`);
  if (['interrupted', 'cancelled', 'failed'].includes(run.state)) lines.push(`  go on with: --resume ${run.id}`);
  return `${lines.join('\n')}\n`;
}

function describeDifference(difference: Difference): string[] {
  const { kind, table, key, documents, path, expected, actual, wrong, since, outcome, reason } = difference;
  const keyed = key ? Object.entries(key).map(([name, value]) => `${name}=${value}`) : [];
  const what = table ? `${table} ${keyed.join(' ')}` : `document ${documents[0]}`;
  const of = table && documents.length > 0 ? ` (document ${documents.slice(0, 5).join(', ')})` : '';
  const where = path === null ? '' : `, ${path}`;
  const wrongSince = since === null ? '' : `, since ${since} at the latest`;
  return [
    `- ${kind}: ${what}${of}${where}: wrong in ${wrong}${wrongSince}; ${outcome}${reason ? `: ${reason}` : ''}`,
    `    expected ${expected ?? 'nothing'}`,
    `    is       ${actual ?? 'nothing'}`,
  ];
}

function kinds(counts: Counts): string {
  return Object.entries(counts)
    .map(([kind, n]) => `${count(n)} ${kind}`)
    .join(', ');
}

function total(counts: Counts): number {
  return Object.values(counts).reduce((sum, n) => sum + n, 0);
}
