import { TokenLost } from '../../../src/consumer/broken-history.ts';
import type { Delivered, SentDocument } from '../../../src/consumer/delivery/acknowledge.ts';
import type { AnswerWriter, DeliverySnapshot, DeliveryStore } from '../../../src/consumer/delivery/delivery-store.ts';
import type { Pending } from '../../../src/consumer/delivery/pending.ts';
import type { DocumentVersion } from '../../../src/fastaaps/types.ts';
import type { Network } from '../network.ts';

interface Versioned {
  epoch: number;
  version: bigint;
}

interface Document extends Versioned {
  body: string | null;
  accepted: (Versioned & { etag: string | null }) | null;
}

interface State {
  epoch: number;
  sequence: bigint;
  /** Commits of SIIRAyS that the replica holds and that are projected. */
  seq: number;
  projected: boolean;
  documents: Map<string, Document>;
  outbox: Map<string, Versioned>;
  marks: Map<string, boolean>;
  delivered: Pending['delivered'];
}

/** A commit of SIIRAyS: one document, or its end. */
export interface Commit {
  id: string;
  body: string | null;
}

const fresh = (): State => ({
  epoch: 0,
  sequence: 0n,
  seq: 0,
  projected: false,
  documents: new Map(),
  outbox: new Map(),
  marks: new Map(),
  delivered: null,
});

/**
 * The bookkeeping of `sync` with what its SQL does (migrations/001-bookkeeping.sql, project.ts, acknowledge.ts, epoch.ts),
 * each transaction at once. It can be put back to an older copy, or lost.
 */
export class SimulatedBookkeeping {
  #now = fresh();
  #copy: State | null = null;
  /** SIIRAyS. */
  readonly commits: Commit[] = [];
  token = 1;

  get seq(): number {
    return this.#now.seq;
  }

  /** Whether all is delivered, as far as anybody here knows. */
  get isSettled(): boolean {
    const { outbox, marks, delivered, seq, epoch } = this.#now;
    return outbox.size === 0 && marks.size === 0 && delivered?.seq === String(seq) && delivered.epoch === epoch;
  }

  /** The documents of SIIRAyS after so many commits. */
  truth(seq: number): [string, string][] {
    const bodies = new Map<string, string | null>(this.commits.slice(0, seq).map(({ id, body }) => [id, body]));
    const live = [...bodies].flatMap(([id, body]): [string, string][] => (body === null ? [] : [[id, body]]));
    return live.sort(([a], [b]) => Number(a) - Number(b));
  }

  /** The apply transaction: some more commits, and all marks. */
  project(commits: number): void {
    const state = this.#now;
    const to = Math.min(this.commits.length, state.seq + commits);
    for (const { id } of this.commits.slice(state.seq, to)) if (!state.marks.has(id)) state.marks.set(id, false);
    state.seq = to;
    state.projected = true;
    const truth = new Map(this.truth(to));
    for (const [id, forced] of state.marks) {
      const body = truth.get(id) ?? null;
      const known = state.documents.get(id);
      if (!forced && (known?.body ?? null) === body) continue;
      state.sequence += 1n;
      const versioned = { epoch: state.epoch, version: state.sequence };
      state.documents.set(id, { ...versioned, body, accepted: known?.accepted ?? null });
      state.outbox.set(id, versioned);
    }
    state.marks.clear();
  }

  backUp(): void {
    this.#copy = structuredClone(this.#now);
  }

  restore(): void {
    if (this.#copy) this.#now = structuredClone(this.#copy);
  }

  lose(): void {
    this.#now = fresh();
  }

  /** The store of a process that has this token. */
  store(network: Network, token: number): DeliveryStore {
    const write = <T>(work: (state: State) => T): Promise<T> =>
      network.call(() => {
        if (token !== this.token) throw new TokenLost('token lost');
        return work(this.#now);
      });
    return {
      pending: () => network.call(() => this.#pending()),
      raiseEpoch: (epoch) => write((state) => raise(state, epoch)),
      markUnfit: () => write(markUnfit),
      markDifferences: async (versions, raiseTo) => {
        const theirs = new Map<string, DocumentVersion>();
        for await (const version of versions) theirs.set(version.id, version);
        return write((state) => {
          if (raiseTo !== null) raise(state, raiseTo);
          return markDiffering(state, theirs);
        });
      },
      round: async (deliver) => {
        const snapshot = await network.call(() => {
          if (token !== this.token) throw new TokenLost('token lost');
          return this.#snapshot(write);
        });
        return snapshot.pending.projected === null ? { kind: 'idle' } : deliver(snapshot as DeliverySnapshot);
      },
    };
  }

  #pending(): Pending {
    const { epoch, projected, seq, delivered, documents, outbox, marks } = this.#now;
    const versions = [...outbox.values()].map(({ version }) => version);
    return {
      token: String(this.token),
      epoch,
      projected: projected ? { history: 1, seq: String(seq), lsn: `0/${seq}`, committedMs: 0 } : null,
      delivered,
      documents: outbox.size,
      deleted: [...outbox.keys()].filter((id) => documents.get(id)!.body === null).length,
      version: versions.length === 0 ? null : String(versions.sort((a, b) => Number(b - a))[0]),
      unfit: [...outbox.values()].filter((row) => row.epoch !== epoch).length,
      forcedMarks: [...marks.values()].filter((forced) => forced).length,
    };
  }

  #snapshot(write: <T>(work: (state: State) => T) => Promise<T>) {
    const { outbox, documents } = this.#now;
    const lines = [...outbox].map(([id, { version }]) => {
      const { body } = documents.get(id)!;
      return `{"id":"${id}","version":"${version}"${body === null ? '' : `,"document":${body}`}}`;
    });
    const sent = new Map([...outbox].map(([id, { version }]) => [id, String(version)]));
    return {
      pending: this.#pending(),
      lines: async function* () {
        yield* lines;
      },
      nextVersion: () =>
        write((state) => {
          state.sequence += 1n;
          return String(state.sequence);
        }),
      answer: (epoch: number): AnswerWriter => {
        const come: SentDocument[] = [];
        return {
          get documents() {
            return come.length;
          },
          write: async (etags) => {
            for (const [id, etag] of etags) come.push({ id, version: sent.get(id)!, etag });
          },
          finish: (delivered) => write((state) => accept(state, epoch, come, delivered)),
          giveUp: () => undefined,
        };
      },
      bury: () => Promise.reject(new Error('nothing is refused here')),
    };
  }
}

function raise(state: State, epoch: number): void {
  state.epoch = epoch;
  markUnfit(state);
}

function markUnfit(state: State): void {
  for (const [id, { epoch }] of state.outbox) if (epoch !== state.epoch) state.marks.set(id, true);
}

function markDiffering(state: State, theirs: ReadonlyMap<string, DocumentVersion>): number {
  let marked = 0;
  for (const id of new Set([...state.documents.keys(), ...theirs.keys()])) {
    const ours = state.documents.get(id)?.accepted;
    const their = theirs.get(id);
    if ((ours?.etag ?? null) === null && (their?.etag ?? null) === null) continue;
    const same =
      ours?.epoch === their?.epoch && String(ours?.version) === String(their?.version) && ours?.etag === their?.etag;
    if (same || state.outbox.get(id)?.epoch === state.epoch) continue;
    state.marks.set(id, true);
    marked += 1;
  }
  return marked;
}

function accept(state: State, epoch: number, sent: readonly SentDocument[], { version, commit }: Delivered): void {
  for (const { id, version: text, etag } of sent) {
    const accepted = { epoch, version: BigInt(text), etag };
    const document = state.documents.get(id);
    if (document) document.accepted = accepted;
    const waiting = state.outbox.get(id);
    if (waiting?.epoch === epoch && waiting.version === accepted.version) state.outbox.delete(id);
  }
  state.delivered = { epoch, version, history: commit.history, seq: commit.seq };
}
