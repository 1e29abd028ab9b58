/** The words of a reconciliation: what is asked for, what a run says of itself, what it finds. */

/** verify reports; repair asks for what is wrong to be made anew; restore makes a whole set from one snapshot of SIIRAyS. */
export type Mode = 'verify' | 'repair' | 'restore';

/** What a run is asked to do. Times are milliseconds. */
export interface RunOptions {
  readonly mode: Mode;
  /** Compare SIIRAyS's own documents with FASTAAPS: needs neither Kafka nor the replica. */
  readonly direct: boolean;
  /** Names of connectors, in their order; never empty. */
  readonly connectors: readonly string[];
  /** Only documents with these ids (and no rows); null: all. */
  readonly ids: readonly string[] | null;
  /** Only rows of these tables (`schema.table`, and no documents); null: all. */
  readonly tables: readonly string[] | null;
  /** db_tag that `restore` replaces; null for the other modes, which look at the connector's own. */
  readonly target: string | null;
  /** The run ends after so many differences; null: never. */
  readonly stopAfter: number | null;
  /** The run ends, undecided about the rest, after so long; null: never. */
  readonly maxTimeMs: number | null;
}

export type Trigger = 'http' | 'cli' | 'schedule';

/** Who or what asked for a run. */
export interface Asker {
  readonly trigger: Trigger;
  /** User name, name of the schedule, or the operating system's user. */
  readonly name: string;
}

/**
 * How a run stands. `interrupted`: its process has ended without a word; such a run can be resumed.
 * The others say how it ended: all is equal; repair made all equal; differences were found by verify or left by repair;
 * undecided, since something kept changing, could not be looked at in time, or is known to no side; cancelled; failed, with
 * the error. `differences` says nothing of whether something was undecided as well: `incomplete` does.
 */
export type RunState =
  | 'queued'
  | 'running'
  | 'interrupted'
  | 'equal'
  | 'repaired'
  | 'differences'
  | 'undecided'
  | 'cancelled'
  | 'failed';

export const ENDED: readonly RunState[] = [
  'interrupted',
  'equal',
  'repaired',
  'differences',
  'undecided',
  'cancelled',
  'failed',
];

/** What a difference is about. */
export type DifferenceKind =
  /** A row differs, is missing in the replica, or is there and not in SIIRAyS. */
  | 'row'
  /** The documents' bookkeeping in `sync` is not what the replica's rows give. */
  | 'projection'
  /** A document's newest version was never delivered, and nothing waits to be. */
  | 'undelivered'
  /** FASTAAPS holds another document, none, or one that should not be. */
  | 'document'
  /** FASTAAPS (or the connector's schema) refuses the newest version of the document. */
  | 'dead_letter';

/** Where the wrong value is. SIIRAyS is right by definition. */
export type Side = 'replica' | 'sync' | 'fastaaps';

/** One difference, as it is stored and told. Values are PostgreSQL's texts (rows) or JSON texts (documents). */
export interface Difference {
  readonly connector: string;
  readonly kind: DifferenceKind;
  /** Table (`schema.table`) of a row; null for documents. */
  readonly table: string | null;
  /** Key of a row as {column: text}; null for documents and for tables without a key. */
  readonly key: Readonly<Record<string, string>> | null;
  /** Ids of the documents concerned, up to 100. */
  readonly documents: readonly string[];
  /** The first field that differs: a column, or a place in the document such as tuberias[2].localidad; null: the whole. */
  readonly path: string | null;
  /** What it should be, and what it is; null: nothing is there. Cut at 1,000 characters. */
  readonly expected: string | null;
  readonly actual: string | null;
  readonly wrong: Side;
  /** Version (decimal) of the document in FASTAAPS, or SIIRAyS's LSN for a row, since when it is so at the latest. */
  readonly since: string | null;
  /** What became of it. `left` says why in `reason`; `asked`: a repair was asked for, and is not seen to have arrived (yet). */
  readonly outcome: 'found' | 'repaired' | 'left' | 'asked';
  readonly reason: string | null;
}

/** How far a run is. */
export interface Progress {
  readonly phase: 'waiting' | 'rows' | 'documents' | 'direct' | 'restore' | 'settling' | 'repairing' | 'done';
  readonly connector: string | null;
  /** Table under way. */
  readonly table: string | null;
  /** Rows and documents compared so far, and how many there will be about (estimates of the server). */
  readonly rows: number;
  readonly rowsTotal: number;
  readonly documents: number;
  readonly documentsTotal: number;
}

/** Where a run that was killed can go on: opaque to all but the engine. */
export type Cursor = Readonly<Record<string, unknown>>;

/** Counts of differences by kind. */
export type Counts = Readonly<Partial<Record<DifferenceKind, number>>>;

/** A run as the history keeps it. Times are milliseconds since 1970. */
export interface Run {
  readonly id: string;
  readonly options: RunOptions;
  readonly asker: Asker;
  readonly state: RunState;
  readonly progress: Progress;
  readonly found: Counts;
  readonly repaired: Counts;
  readonly left: Counts;
  /**
   * Connectors of which something was left undecided: it kept changing, was passed over, or was not looked at. For them the
   * run is no proof, whatever its state. All of them until the run has ended with a result.
   */
  readonly incomplete: readonly string[];
  /** Ids asked for that no side knows, up to 1,000: nothing was proven of them. */
  readonly unknown: readonly string[];
  /** The run that this one resumes or repeats. */
  readonly resumes: string | null;
  /** The run that resumed this one. */
  readonly resumedBy: string | null;
  /** History and LSN (X/Y) of the replica, or LSN of the snapshot, that the result holds for. */
  readonly history: number | null;
  readonly lsn: string | null;
  readonly requestedAt: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  /** Warnings and reasons of an undecided result, each once. */
  readonly notes: readonly string[];
  readonly error: { readonly message: string; readonly stack: string | null } | null;
}

/** A run was asked for while another holds one of its connectors. */
export class RunConflict extends Error {
  readonly running: string;

  constructor(running: string, message: string) {
    super(message);
    this.running = running;
  }
}

/** What a run in its process tells the history. Every call also shows that the process lives. */
export interface RunRecorder {
  readonly run: Run;
  /** Aborted when the run is cancelled (reason: `new Error('cancelled by …')`) or its lease is lost. */
  readonly signal: AbortSignal;
  /** Stores progress and where to go on; cheap: written at most a few times a second. */
  progress(change: Partial<Progress>, cursor?: Cursor): void;
  /** Stores differences; those beyond the limit of kept ones are only counted. */
  differences(found: readonly Difference[]): Promise<void>;
  /**
   * Stores differences whose repair is about to be asked for, and resolves when they are stored: whatever becomes of the
   * process, the history tells of them. They count as left until it is known what became of them.
   * @returns takes what became of each, in their order
   */
  asked(found: readonly Difference[]): Promise<(became: readonly Difference[]) => void>;
  /** Where the run that this one resumes had come to; null for a run from the beginning. */
  readonly resumeFrom: Cursor | null;
  note(text: string): void;
  position(history: number | null, lsn: string | null): void;
}

/** What the engine gives back. */
export interface Outcome {
  readonly state: 'equal' | 'repaired' | 'differences' | 'undecided';
  /** As in `Run`; not given: none, or all where the state is `undecided`. */
  readonly incomplete?: readonly string[];
  /** As in `Run`; not given: none. */
  readonly unknown?: readonly string[];
}

/** Executes one run. @throws where it fails; the signal's reason where it was cancelled */
export type RunFunction = (recorder: RunRecorder) => Promise<Outcome>;
