import type { Tally } from './tally.ts';
import type { Outcome, RunRecorder } from './types.ts';

/** Ids that are told in a note. */
const TOLD = 20;

/** How a run has ended, by what it has come to; what has to be said of it is noted. */
export function outcomeOf(tally: Tally, recorder: RunRecorder): Outcome {
  const { connectors } = recorder.run.options;
  const unknown = tally.unknownTo(connectors);
  if (unknown.length > 0) {
    const more = unknown.length > TOLD ? ` and ${unknown.length - TOLD} more` : '';
    recorder.note(`no side knows these ids, of which nothing is proven: ${unknown.slice(0, TOLD).join(', ')}${more}`);
  }
  const open = new Set([...tally.undecided, ...tally.unfinished]);
  const incomplete = unknown.length > 0 ? connectors : connectors.filter((name) => open.has(name));
  return { state: stateOf(tally, incomplete.length > 0), incomplete, unknown };
}

function stateOf({ left, repaired }: Tally, incomplete: boolean): Outcome['state'] {
  if (left.total > 0) return 'differences';
  if (incomplete) return 'undecided';
  return repaired.total > 0 ? 'repaired' : 'equal';
}
