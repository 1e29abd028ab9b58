import type pg from 'pg';
import type { CompiledConnector } from '../connector/compiled.ts';
import { connectorSchemas } from '../consumer/replica-names.ts';
import { formatLsn, type Lsn } from '../postgres/lsn.ts';
import type { Candidate, Comparison } from './comparison.ts';
import { outcomeOf } from './outcome.ts';
import { runPhase } from './phase.ts';
import type { PositionWatch } from './position-watch.ts';
import { isPast, type Point, readStanding, untilPassed, untilStanding, type WaitOptions } from './standing.ts';
import { Tally, type TallySoFar } from './tally.ts';
import type { Cursor, Outcome, RunRecorder } from './types.ts';

type AnyComparison = Comparison<Candidate>;

/** What the engine gets from outside: one connector's comparisons, made for one run and closed by it. */
export interface Sides {
  /** @param onSkipped something was passed over, such as a table */
  rows(tables: readonly string[] | null, onSkipped: () => void): AnyComparison;
  documents(ids: readonly string[] | null, onSkipped: () => void): AnyComparison;
  direct(ids: readonly string[] | null, onSkipped: () => void): AnyComparison;
  /** An LSN of SIIRAyS above all that was visible when it was called. */
  barrier(): Promise<Lsn>;
  /** Makes the set `target` anew from one snapshot of SIIRAyS; gives the LSN of that (X/Y). */
  restore(target: string, onProgress: (documents: number) => void, signal: AbortSignal): Promise<RestoreResult>;
  /** Has the connector's own set sent once more, where its adapter is `restore`. */
  sendAgain(): Promise<void>;
  close(): Promise<void>;
}

export interface RestoreResult {
  documents: number;
  lsn: string;
  /** Documents that lack a required field, which no set may hold: the first of them, and how many there are. */
  leftOut: readonly { id: string; problems: readonly string[] }[];
  leftOutCount: number;
}

export interface EngineOptions {
  pool: pg.Pool;
  watch: PositionWatch;
  connectors: readonly CompiledConnector[];
  sides(connector: CompiledConnector, recorder: RunRecorder): Sides;
  proven(connector: string, ids: readonly string[], run: string): Promise<void>;
  met(connector: string, ids: readonly string[]): Promise<void>;
  /** How long a look waits for the slower side. */
  patienceMs: number;
  repairPatienceMs: number;
}

type PhaseName = 'rows' | 'documents' | 'direct' | 'restore';

/** The cursor of a run: the phases before this one are done. */
interface RunCursor {
  connector: string;
  phase: PhaseName;
  at: unknown;
  tally: TallySoFar;
}

/** One connector's part of a run. */
interface RunPart {
  sides: Sides;
  connector: CompiledConnector;
  recorder: RunRecorder;
  tally: Tally;
  /** Aborted when the time allowed is over. */
  enough: AbortSignal;
  /** Where to go on; null: at the beginning. */
  from: RunCursor | null;
}

/** Executes runs: for each connector its phases one after the other. */
export class Engine {
  readonly #options: EngineOptions;

  constructor(options: EngineOptions) {
    this.#options = options;
  }

  /** One run from its beginning, or from where the one that it resumes has come to. */
  async run(recorder: RunRecorder): Promise<Outcome> {
    const { options } = recorder.run;
    const enough = options.maxTimeMs === null ? new AbortController().signal : AbortSignal.timeout(options.maxTimeMs);
    const resume = recorder.resumeFrom as RunCursor | null;
    // Of a cursor that does not say what was left undecided, everything may have been.
    const tally = new Tally(resume && { ...{ undecided: options.connectors, unknown: {} }, ...resume.tally });
    if (tally.found.total > 0) {
      recorder.note(`${tally.found.total} differences were found before it was resumed: run ${recorder.run.resumes}`);
    }
    const names = options.connectors;
    const first = resume ? Math.max(0, names.indexOf(resume.connector)) : 0;
    for (const [place, name] of names.entries()) {
      if (place < first) continue;
      const connector = this.#options.connectors.find((one) => one.name === name);
      if (!connector) throw new Error(`there is no connector ${name}`);
      const from = resume?.connector === name ? resume : null;
      await this.#connector(connector, recorder, tally, enough, from);
      if (tally.hasFound(options.stopAfter)) {
        for (const open of names.slice(place)) tally.unfinished.add(open);
        recorder.note(`it ended after ${options.stopAfter} differences, before everything was looked at`);
        break;
      }
    }
    if (enough.aborted && tally.unfinished.size > 0 && options.mode !== 'restore') {
      recorder.note('the time allowed was over before everything was looked at');
    }
    recorder.progress({ phase: 'done', table: null });
    return outcomeOf(tally, recorder);
  }

  async #connector(
    connector: CompiledConnector,
    recorder: RunRecorder,
    tally: Tally,
    enough: AbortSignal,
    from: RunCursor | null,
  ): Promise<void> {
    const sides = this.#options.sides(connector, recorder);
    try {
      const part: RunPart = { sides, connector, recorder, tally, enough, from };
      if (recorder.run.options.mode === 'restore') await restore(part);
      else if (recorder.run.options.direct) await this.#direct(part);
      else await this.#replica(part);
    } finally {
      await sides.close();
    }
  }

  async #replica(part: RunPart): Promise<void> {
    const { sides, connector, recorder, tally, from } = part;
    const { pool, watch } = this.#options;
    const { ids, tables } = recorder.run.options;
    const onSkipped = (): void => void tally.undecided.add(connector.name);
    const wait = this.#wait(connector, recorder.signal);
    recorder.progress({ phase: 'waiting', connector: connector.name });
    const whole = await untilStanding(wait, ({ frozen }) => frozen === null);
    if (whole === null) {
      const { frozen } = await readStanding(pool, wait.schema);
      recorder.note(`${connector.name}: the replica cannot be compared now: ${frozen ?? 'it was made anew meanwhile'}`);
      tally.undecided.add(connector.name);
      return;
    }
    if ((ids === null || tables !== null) && from?.phase !== 'documents') {
      let lsn: Lsn | null = null;
      const pass = async (): Promise<boolean> => {
        lsn = await sides.barrier();
        return untilPassed(wait, lsn, watch, 'applied');
      };
      const since = (): string | null => (lsn === null ? null : formatLsn(lsn));
      await this.#phase(sides.rows(tables, onSkipped), part, pass, since);
    }
    if (tally.hasFound(recorder.run.options.stopAfter)) return;
    if (ids !== null && !(await untilPassed(wait, await sides.barrier(), watch, 'applied'))) {
      // Without rows nothing else would tell that the replica is not what SIIRAyS is.
      recorder.note(`${connector.name}: the replica has not come up to SIIRAyS in time: nothing was looked at`);
      tally.undecided.add(connector.name);
      return;
    }
    if (tables === null || ids !== null) {
      const pass = async (): Promise<boolean> => this.#delivered(wait);
      await this.#phase(sides.documents(ids, onSkipped), part, pass);
    }
    const { applied } = await readStanding(pool, wait.schema);
    if (applied) recorder.position(applied.history, formatLsn(applied.lsn));
  }

  /** Waits until all that is in the replica now has been delivered. */
  async #delivered(wait: WaitOptions): Promise<boolean> {
    let point: Point | null = null;
    const standing = await untilStanding(wait, ({ applied, delivered, frozen }) => {
      point ??= applied;
      return frozen === null && point !== null && isPast(delivered, point);
    });
    return standing !== null;
  }

  async #direct(part: RunPart): Promise<void> {
    const { sides, connector, recorder, tally } = part;
    const { watch } = this.#options;
    const wait = this.#wait(connector, recorder.signal);
    let lsn: Lsn | null = null;
    const pass = async (): Promise<boolean> => {
      lsn = await sides.barrier();
      return untilPassed(wait, lsn, watch, 'delivered');
    };
    watch.start();
    lsn = await sides.barrier();
    const onSkipped = (): void => void tally.undecided.add(connector.name);
    await this.#phase(sides.direct(recorder.run.options.ids, onSkipped), part, pass);
    recorder.position(watch.newest?.history ?? null, formatLsn(lsn));
  }

  async #phase(
    comparison: AnyComparison,
    { connector, recorder, tally, enough, from }: RunPart,
    pass: () => Promise<boolean>,
    since: () => string | null = () => null,
  ): Promise<void> {
    const { phase } = comparison;
    const cursor = (at: unknown): Cursor =>
      ({ connector: connector.name, phase, at, tally: tally.soFar }) satisfies RunCursor;
    try {
      await runPhase({
        ...{ comparison, recorder, tally, enough, pass, since, cursor },
        connector: connector.name,
        mode: recorder.run.options.mode,
        proven: (ids) => this.#options.proven(connector.name, ids, recorder.run.id),
        met: (ids) => this.#options.met(connector.name, ids),
        from: from?.phase === phase ? from.at : null,
        repairPatienceMs: this.#options.repairPatienceMs,
      });
    } finally {
      await comparison.close();
    }
  }

  #wait(connector: CompiledConnector, signal: AbortSignal): WaitOptions {
    const { pool, patienceMs } = this.#options;
    return { pool, schema: connectorSchemas(connector.name).sync, patienceMs, signal };
  }
}

async function restore({ sides, connector, recorder, tally, enough }: RunPart): Promise<void> {
  const { target } = recorder.run.options;
  if (target === null) throw new Error('a restore needs a target');
  recorder.progress({ phase: 'restore', connector: connector.name, table: null });
  const ending = AbortSignal.any([recorder.signal, enough]);
  let made: RestoreResult;
  try {
    made = await sides.restore(target, (count) => recorder.progress({ documents: count }), ending);
  } catch (error) {
    recorder.signal.throwIfAborted();
    if (!enough.aborted) throw error;
    tally.unfinished.add(connector.name);
    recorder.note('the time allowed was over: the set was not replaced, unless its service had taken all of it');
    return;
  } finally {
    // The consumer may have sent a newer set while ours was on its way, and must have the last word.
    if (target === connector.target.tag) await sides.sendAgain();
  }
  const { lsn, documents, leftOut, leftOutCount } = made;
  recorder.progress({ documents, documentsTotal: documents });
  recorder.position(null, lsn);
  tally.found.add('dead_letter', leftOutCount);
  tally.left.add('dead_letter', leftOutCount);
  await recorder.differences(
    leftOut.map(({ id, problems }) => ({
      ...{ connector: connector.name, kind: 'dead_letter', table: null, key: null, documents: [id] },
      ...{ path: problems[0] ?? null, expected: null, actual: null, wrong: 'fastaaps', since: null, outcome: 'left' },
      reason: `left out: ${problems.join(', ')} missing`,
    })),
  );
}
