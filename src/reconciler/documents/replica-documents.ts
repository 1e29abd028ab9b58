import type { CompiledConnector } from '../../connector/compiled.ts';
import type { FastaapsClient } from '../../fastaaps/client.ts';
import type { Comparison, Range } from '../comparison.ts';
import { type DescribedDocument, DocumentDescriptions } from './describe-documents.ts';
import type { DocumentCandidate } from './document-candidate.ts';
import type { DocumentState } from './document-state.ts';
import type { FastaapsSide } from './fastaaps-side.ts';
import { AllIds, GivenIds, type IdRange, type IdSource } from './id-source.ts';
import { patiently } from './patience.ts';
import { RangeSize } from './range-size.ts';
import { repairDocuments } from './repair-documents.ts';
import { ReplicaSession, type ReplicaSessionOptions } from './replica-session.ts';

export interface ReplicaDocumentsOptions extends ReplicaSessionOptions {
  fastaaps: FastaapsClient;
  /** Only these documents; null: all. */
  ids: readonly string[] | null;
  /** Ranges are projected in so many sessions at once. */
  sessions: number;
  /** How long a range's snapshot should take, in milliseconds. */
  rangeMs: number;
  side: FastaapsSide;
}

/** Ranges under way or done for each session while the first one's turn has not come. */
const AHEAD = 2;
/** Ids that are looked at again in one statement. */
const LOOK = 1_000;

/**
 * What the replica's rows give as documents, against the bookkeeping of what was sent, against FASTAAPS. Each range is one
 * statement in a short snapshot of `sync`; FASTAAPS's side is read once at the beginning.
 */
export class ReplicaDocuments implements Comparison<DocumentCandidate> {
  readonly phase = 'documents';
  readonly #options: ReplicaDocumentsOptions;
  readonly #connector: CompiledConnector;
  readonly #side: FastaapsSide;
  readonly #ids: ReplicaSession;
  readonly #ranges: ReplicaSession[];
  readonly #looks: ReplicaSession;
  readonly #descriptions: DocumentDescriptions;

  constructor(options: ReplicaDocumentsOptions) {
    this.#options = options;
    this.#connector = options.connector;
    this.#side = options.side;
    this.#ids = new ReplicaSession(options);
    this.#ranges = Array.from({ length: options.sessions }, () => new ReplicaSession(options));
    this.#looks = new ReplicaSession(options);
    this.#descriptions = new DocumentDescriptions({ ...options, session: this.#looks });
  }

  async *scan(from: unknown, signal: AbortSignal): AsyncGenerator<Range<DocumentCandidate>> {
    signal.throwIfAborted();
    const source = await this.#open(afterOf(from), signal);
    const size = new RangeSize(this.#options.rangeMs, this.#ranges.length);
    const underway: Promise<Range<DocumentCandidate>>[] = [];
    let begun = 0;
    let more = true;
    try {
      for (;;) {
        while (more && underway.length < AHEAD * this.#ranges.length) {
          const range = await source.next(size.next(source.remaining));
          more = range !== null;
          if (range === null) break;
          const session = this.#ranges[begun++ % this.#ranges.length]!;
          const looked = this.#look(session, range, source.total, size, signal);
          // Its turn comes later: until then nobody listens to its error.
          looked.catch(() => undefined);
          underway.push(looked);
        }
        const first = underway.shift();
        if (first === undefined) return;
        yield await first;
        signal.throwIfAborted();
      }
    } finally {
      await Promise.allSettled(underway);
    }
  }

  async look(candidates: readonly DocumentCandidate[]): Promise<DocumentCandidate[]> {
    const states = await this.#states(candidates.map(({ key }) => key));
    return states.flatMap((state) =>
      isSetAside(state) ? [{ ...candidate(state), setAside: true }] : candidateOf(state),
    );
  }

  async describe(candidates: readonly DocumentCandidate[]): Promise<Map<string, DescribedDocument>> {
    return this.#descriptions.of(await this.#states(candidates.map(({ key }) => key)));
  }

  repair(candidates: readonly DocumentCandidate[]): Promise<Map<string, string>> {
    return repairDocuments(this.#looks, this.#connector, this.#options.schemas.sync, candidates);
  }

  async close(): Promise<void> {
    await Promise.all([this.#ids, ...this.#ranges, this.#looks].map((session) => session.close()));
  }

  async #open(after: string | null, signal: AbortSignal): Promise<IdSource> {
    const { ids, schemas } = this.#options;
    const common = { session: this.#ids, connector: this.#connector, syncSchema: schemas.sync, after };
    if (ids !== null) {
      const theirs = await patiently(() => this.#side.of(new Set(ids)), signal);
      return new GivenIds(common, ids, theirs);
    }
    // They connect meanwhile; an error shows at their first use.
    for (const session of this.#ranges) session.use(async () => undefined).catch(() => undefined);
    await this.#ids.use((client) => patiently(() => this.#side.load(client, signal), signal));
    return AllIds.open({ ...common, side: this.#side, signal });
  }

  #look(
    session: ReplicaSession,
    range: IdRange,
    total: number,
    size: RangeSize,
    signal: AbortSignal,
  ): Promise<Range<DocumentCandidate>> {
    return session.snapshot(async (client, placement) => {
      const started = performance.now();
      const unequal = byId(await this.#side.compare(client, placement, range));
      size.took(range.ids.length, performance.now() - started);
      const unheard = new Set(range.unheard);
      return {
        candidates: range.ids.flatMap((id) => candidateOf(unequal.get(id))),
        compared: range.ids.length,
        cursor: { after: range.ids.at(-1) },
        total,
        table: null,
        proven: range.ids.filter((id) => !unequal.has(id) && !unheard.has(id)),
        setAside: [...unequal.values()].filter(isSetAside).map(({ id }) => id),
        // Where there is a root, its document is not equal to none.
        unknown: range.unheard.filter((id) => !unequal.has(id)),
      };
    }, signal);
  }

  /** What of some documents is not equal now. */
  async #states(ids: readonly string[]): Promise<DocumentState[]> {
    if (ids.length === 0) return [];
    const theirs = await patiently(() => this.#side.of(new Set(ids)));
    const common = { session: this.#looks, connector: this.#connector, syncSchema: this.#options.schemas.sync };
    const source = new GivenIds({ ...common, after: null }, ids, theirs);
    const states: DocumentState[] = [];
    for (let range = await source.next(LOOK); range !== null; range = await source.next(LOOK)) {
      const some = range;
      const unequal = byId(
        await this.#looks.snapshot((client, placement) => this.#side.compare(client, placement, some)),
      );
      states.push(...some.ids.flatMap((id) => unequal.get(id) ?? []));
    }
    return states;
  }
}

function byId(states: readonly DocumentState[]): Map<string, DocumentState> {
  return new Map(states.map((state) => [state.id, state]));
}

function candidateOf(state: DocumentState | undefined): DocumentCandidate[] {
  return state === undefined || (state.kind === null && !state.pending) ? [] : [candidate(state)];
}

function candidate({ id, kind, pending, seen }: DocumentState): DocumentCandidate {
  return { key: id, pair: seen, pending, kind: kind ?? 'projection' };
}

/** Nothing is wrong with it but what somebody has accepted. */
function isSetAside({ kind, pending, setAside }: DocumentState): boolean {
  return setAside && kind === null && !pending;
}

function afterOf(cursor: unknown): string | null {
  const after = (cursor as { after?: unknown } | null)?.after;
  return typeof after === 'string' ? after : null;
}
