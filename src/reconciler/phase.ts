import { setTimeout as sleep } from 'node:timers/promises';
import type { Candidate, Comparison } from './comparison.ts';
import { settle } from './settle.ts';
import type { Tally } from './tally.ts';
import type { Cursor, Difference, Mode, RunRecorder } from './types.ts';

/** What a phase works with. */
export interface PhaseOptions<C extends Candidate> {
  comparison: Comparison<C>;
  connector: string;
  mode: Mode;
  recorder: RunRecorder;
  tally: Tally;
  /** Waits until the slower side shows all that the last look could see; false: it does not in time. */
  pass(): Promise<boolean>;
  /** Since when a row that carries no version of its own is wrong at the latest: SIIRAyS's LSN (X/Y). */
  since(): string | null;
  proven(ids: readonly string[]): Promise<void>;
  /** Told of documents that are there and not proven (yet). */
  met(ids: readonly string[]): Promise<void>;
  /** Where a run that is resumed goes on; null: at the beginning. */
  from: unknown;
  /** How long a repair may take to show. */
  repairPatienceMs: number;
  /** Aborted when the run's time is over: what has been looked at is settled, the rest is not looked at. */
  enough: AbortSignal;
  /** Makes the run's cursor of the phase's own. */
  cursor(at: unknown): Cursor;
}

/** Candidates gathered before they are settled: bounds memory, and how long a difference stays unsettled. */
const GATHERED = 2_000;
/** A repair is looked at again after this, and then ever more seldom: each look reads FASTAAPS's versions. */
const REPAIR_LOOK_MS = 250;
const REPAIR_LOOK_MOST_MS = 5_000;

const ASKED = 'a repair was asked for, and not seen to arrive before the run ended';

/**
 * One comparison from its cursor to its end: ranges are looked at, what is suspect is gathered and settled, what is
 * confirmed is described, stored and, in mode repair, repaired and looked at until it is right.
 */
export async function runPhase<C extends Candidate>(options: PhaseOptions<C>): Promise<void> {
  const { comparison, recorder, tally, enough } = options;
  let gathered: C[] = [];
  const ending = AbortSignal.any([recorder.signal, enough]);
  const counted = comparison.phase === 'rows' ? 'rows' : 'documents';
  const before = tally.compared[counted];
  const settleGathered = async (): Promise<boolean> => {
    const settled = await settleAll(options, gathered);
    gathered = [];
    return settled;
  };
  try {
    for await (const range of comparison.scan(options.from, ending)) {
      tally.compared[counted] += range.compared;
      if (range.proven.length > 0) await options.proven(range.proven);
      if (comparison.phase !== 'rows') await options.met([...keysOf(range.candidates), ...(range.setAside ?? [])]);
      if (range.unknown?.length) tally.addUnknown(options.connector, range.unknown);
      gathered.push(...range.candidates);
      const total = { [counted]: tally.compared[counted], [`${counted}Total`]: before + range.total };
      const progress = { phase: comparison.phase, connector: options.connector, table: range.table, ...total };
      const goesOn = gathered.length < GATHERED || (await settleGathered());
      // A run that is resumed must look at what is not settled yet again.
      if (gathered.length === 0) recorder.progress(progress, options.cursor(range.cursor));
      else recorder.progress(progress);
      if (tally.hasFound(recorder.run.options.stopAfter)) break;
      if (!goesOn) {
        tally.undecided.add(options.connector);
        recorder.note(`${options.connector}: the rest was not looked at, since the other side does not come along`);
        break;
      }
    }
  } catch (error) {
    recorder.signal.throwIfAborted();
    if (!enough.aborted) throw error;
    tally.unfinished.add(options.connector);
  }
  if (gathered.length === 0) return;
  recorder.progress({ phase: 'settling', connector: options.connector, table: null });
  await settleGathered();
}

/** @returns whether the slower side comes along, so that going on is worth while */
async function settleAll<C extends Candidate>(options: PhaseOptions<C>, gathered: readonly C[]): Promise<boolean> {
  if (gathered.length === 0) return true;
  const { comparison, recorder, tally, pass, connector } = options;
  const { confirmed, stale, setAside, passed } = await settle(comparison, gathered, pass);
  recorder.signal.throwIfAborted();
  const open = new Set(keysOf([...confirmed, ...stale, ...setAside]));
  if (comparison.phase !== 'rows') await options.proven(keysOf(gathered).filter((key) => !open.has(key)));
  if (stale.length > 0) {
    tally.undecided.add(connector);
    const what = comparison.phase === 'rows' ? 'rows' : 'documents';
    recorder.note(`${connector}: ${stale.length} ${what} kept changing or were not delivered in time: undecided`);
  }
  for (let at = 0; at < confirmed.length; at += GATHERED) await conclude(options, confirmed.slice(at, at + GATHERED));
  return passed;
}

function keysOf(candidates: readonly Candidate[]): string[] {
  return candidates.map(({ key }) => key);
}

/** Describes, repairs and stores what is confirmed. */
async function conclude<C extends Candidate>(options: PhaseOptions<C>, confirmed: readonly C[]): Promise<void> {
  const { comparison, recorder, tally, connector } = options;
  const described = await comparison.describe(confirmed);
  const found = confirmed.filter(({ key }) => described.has(key) && !tally.consequences.has(described.get(key)!));
  for (const { key } of found) tally.found.add(described.get(key)!.kind);
  const told = (outcome: Difference['outcome'], reason: string | null) => (one: C) => {
    const seen = described.get(one.key)!;
    return { ...seen, connector, since: seen.since ?? options.since(), outcome, reason };
  };
  let differences = found.map(told('found', null));
  if (options.mode !== 'repair') await recorder.differences(differences);
  else {
    // A process that is killed meanwhile leaves word of what it has asked for; one that has lost the run learns it here.
    const became = await recorder.asked(found.map(told('asked', ASKED)));
    const reasons = await repair(options, found);
    differences = found.map((one) => {
      const reason = reasons.get(one.key) ?? null;
      return told(reason === null ? 'repaired' : 'left', reason)(one);
    });
    became(differences);
    if (comparison.phase !== 'rows') {
      await options.proven(keysOf(found).filter((key) => !reasons.has(key)));
    }
  }
  for (const difference of differences) {
    if (difference.outcome === 'repaired') tally.repaired.add(difference.kind);
    else tally.left.add(difference.kind);
    tally.consequences.add(difference);
  }
}

/** Asks for repairs and looks until they show. @returns by key why a candidate is left; repaired ones have no entry */
async function repair<C extends Candidate>(
  { comparison, recorder, repairPatienceMs }: PhaseOptions<C>,
  found: readonly C[],
): Promise<Map<string, string>> {
  recorder.progress({ phase: 'repairing' });
  recorder.signal.throwIfAborted();
  const left = new Map(await comparison.repair(found));
  let open: readonly C[] = found.filter(({ key }) => !left.has(key));
  const deadline = performance.now() + repairPatienceMs;
  for (let waitMs = REPAIR_LOOK_MS; ; waitMs = Math.min(REPAIR_LOOK_MOST_MS, waitMs * 1.5)) {
    const still = await comparison.look(open);
    for (const { key, setAside } of still) if (setAside) left.set(key, 'it was set aside meanwhile');
    const keys = new Set(keysOf(still));
    open = open.filter(({ key }) => keys.has(key) && !left.has(key));
    if (open.length === 0 || performance.now() > deadline) break;
    await sleep(waitMs, undefined, { signal: recorder.signal });
  }
  const late = `not repaired within ${Math.round(repairPatienceMs / 1000)} s: see the logs of the producer and the consumer`;
  for (const { key } of open) left.set(key, late);
  return left;
}
