import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTraffic } from '../embedded/siirays/traffic.ts';
import { whenAborted } from '../embedded/when-aborted.ts';
import { check } from './checker.ts';
import { compareEnd } from './end.ts';
import { makeFault } from './faults/make.ts';
import { HistoryFile } from './history/file.ts';
import { runBulk } from './load/bulk.ts';
import { requiredKinds, type Step, stepsOf } from './plan.ts';
import { readFastaaps } from './readers/fastaaps.ts';
import { readReplica } from './readers/replica.ts';
import { Recovery } from './recovery.ts';
import { openStage } from './stage.ts';
import { Timeline } from './timeline.ts';
import { Witness } from './witness/witness.ts';

export interface StormOptions {
  minutes: number;
  seed: number;
  /** State, logs and history; emptied first. */
  dir: string;
  epsas?: number;
  /** Transactions a second of SIIRAyS's users. */
  rate?: number;
  signal?: AbortSignal;
  print(line: string): void;
  /** Called in the middle of the storm: where a test plants what must be found. */
  inTheMiddle?: (stage: { fastaapsDatabase: string; siirays: string }) => Promise<void>;
}

export interface StormResult {
  transactions: number;
  faults: number;
  comparisons: number;
  differences: string[];
  /** What was below its floor or did not happen. */
  shortfalls: string[];
  history: string;
}

/** Floors for each minute. */
const TRANSACTIONS_A_MINUTE = 120;
const COMPARISONS_A_MINUTE = 30;
/** A storm goes on until every required kind has happened, but not longer than this many times its length, and two minutes. */
const LONGEST = 3;
/** After every fault something committed later must show within this time. */
const FLOWING_WITHIN_MS = 90_000;
/** The last of it, with a backlog, after everything has healed. */
const END_WITHIN_MS = 180_000;

/** One storm: the stack, the load, the faults of the plan one after the other, the readers, and the comparison at the end. */
export async function runStorm(options: StormOptions): Promise<StormResult> {
  const { minutes, seed, dir, print, signal, epsas = 60, rate = 20 } = options;
  mkdirSync(dir, { recursive: true });
  const history = new HistoryFile(join(dir, 'history.ndjson'));
  const stage = await openStage({
    dir: join(dir, 'stack'),
    epsas,
    signal,
    onRefused: (refused) => history.refused(refused),
  });
  const ending = new AbortController();
  const differences: string[] = [];
  let witness: Witness | undefined;
  try {
    const timeline = new Timeline(history);
    witness = await Witness.begin(stage.stack.superuserUrl(), (commit) => timeline.commit(commit));
    timeline.begin(witness, { seed, minutes });
    const url = stage.stack.endpoints.siirays;
    const { fastaaps, fastaapsAuth, sync } = stage.stack.endpoints;
    const readers = [
      readFastaaps(fastaaps, fastaapsAuth, ending.signal, timeline),
      readReplica(sync, witness.shapes, ending.signal, (state) => timeline.replica(state)),
    ];
    const quiet = new AbortController();
    const load = [
      runTraffic({ url, rate, seed, connections: 3 }, quiet.signal),
      runBulk({ url, seed, mostRows: 50_000 }, quiet.signal),
    ];
    const failed = Promise.race([
      whenAborted(signal),
      witness.failure,
      ...[...readers, ...load].map((work) => work.then(() => new Promise<never>(() => undefined))),
    ]);
    failed.catch(() => undefined);

    const recovery = new Recovery();
    const happened: string[] = [];
    const overlapping: Promise<unknown>[] = [];
    const plan = { minutes, seed, without: stage.clocks ? [] : ['clock forward', 'clock back'] };
    if (!stage.clocks) print('libfaketime is not there (Debian package libfaketime): no clock steps');
    const required = requiredKinds(plan);
    const startedAt = performance.now();
    let planted = options.inTheMiddle === undefined;
    for (const step of stepsOf(plan)) {
      const passed = performance.now() - startedAt;
      const missing = required.filter((kind) => !happened.includes(kind));
      const over = passed > minutes * 60_000;
      if ((over && missing.length === 0) || passed > (LONGEST * minutes + 2) * 60_000) break;
      if (!planted && passed > minutes * 30_000) {
        await options.inTheMiddle!({ fastaapsDatabase: stage.stack.endpoints.fastaapsDatabase, siirays: url });
        planted = true;
      }
      await sleep(step.gapMs);
      const what = `${(passed / 1000).toFixed(1).padStart(7)} s  ${String(step.step).padStart(3)} ${describe(step)}`;
      const at = performance.now();
      const made = makeFault(stage, step.fault).then(
        (detail) => {
          happened.push(step.kind);
          return detail;
        },
        (error: Error) => ({ notMade: error.message }),
      );
      const logged = made.then((detail) => {
        timeline.fault(step, detail, at);
        return JSON.stringify(detail);
      });
      if (step.overlaps) {
        overlapping.push(logged);
        print(`${what}, and at once the next`);
        continue;
      }
      const detail = await Promise.race([logged, failed]);
      const after = performance.now();
      const flowing = await Promise.race([timeline.flowing(FLOWING_WITHIN_MS), failed]);
      const ms = performance.now() - after;
      if (flowing) recovery.took(step.fault, ms);
      else
        differences.push(
          `after fault ${step.step} (${step.kind}) nothing new was shown for ${FLOWING_WITHIN_MS / 1000} s`,
        );
      print(`${what} ${detail} flowing after ${(ms / 1000).toFixed(1)} s`);
      if (!flowing) break;
    }

    await Promise.race([Promise.all(overlapping), failed]);
    quiet.abort();
    await Promise.all(load);
    await stage.heal();
    const lasting = (performance.now() - startedAt) / 60_000;
    const comparing = compareEnd({
      stage,
      witness,
      timeline,
      refused: () => history.stillRefused,
      withinMs: END_WITHIN_MS,
    });
    const end = await Promise.race([comparing, failed]);
    ending.abort();
    await Promise.all(readers);
    differences.push(...end);
    await history.close();
    const verdict = await check(history.path);
    differences.push(...verdict.differences);
    for (const line of recovery.lines()) print(line);
    const shortfalls = [
      ...required.filter((kind) => !happened.includes(kind)).map((kind) => `no fault of the kind: ${kind}`),
      ...floor('transactions', verdict.commits, TRANSACTIONS_A_MINUTE * Math.max(minutes, 0.5)),
      ...floor('comparisons', verdict.comparisons, COMPARISONS_A_MINUTE * Math.max(minutes, 0.5)),
    ];
    print(
      `${lasting.toFixed(1)} minutes, ${new Set(happened).size} kinds of fault (${required.length} required), history in ${history.path}`,
    );
    return {
      ...{ transactions: verdict.commits, faults: happened.length, comparisons: verdict.comparisons },
      ...{ differences, shortfalls, history: history.path },
    };
  } finally {
    ending.abort();
    await witness?.stop();
    await stage.close();
  }
}

function floor(what: string, found: number, least: number): string[] {
  return found < least ? [`${found} ${what}, at least ${least} were to be`] : [];
}

function describe({ kind, fault }: Step): string {
  const { family: _, ...rest } = fault as unknown as Record<string, unknown>;
  const numbers = Object.entries(rest).filter(([, value]) => typeof value === 'number');
  return [kind, ...numbers.map(([name, value]) => `${name}=${value}`)].join(' ');
}
