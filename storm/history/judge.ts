import { parseLsn } from '../../src/postgres/lsn.ts';
import type { Documents, FastaapsRecord, HistoryRecord, ReplicaRecord, Sums, VersionsRecord } from './records.ts';

export interface Verdict {
  commits: number;
  /** Whole states that readers saw and that were compared with SIIRAyS as of the same commit. */
  comparisons: number;
  differences: string[];
}

interface Pending {
  what: string;
  lsn: string;
  seen: Record<string, string>;
}

/** Differences beyond these are counted, not told. */
const TOLD = 200;

/**
 * Judges a history line by line: each state that a reader saw must be SIIRAyS's as of exactly the commit that it names
 * (a prefix of SIIRAyS's commits, nothing half), and neither positions nor versions may go back.
 */
export class Judge {
  #commits = 0;
  #comparisons = 0;
  #count = 0;
  readonly #told: string[] = [];
  #lastCommit: bigint | undefined;
  readonly #pending = new Map<'fastaaps' | 'replica', Pending[]>([
    ['fastaaps', []],
    ['replica', []],
  ]);
  readonly #positions = new Map<string, { history: number; seq: bigint; lsn: bigint }>();
  readonly #versions = new Map<string, [number, bigint]>();
  /** Refused documents, with the LSN of the changeset that was to bring them. */
  readonly #refused = new Map<string, bigint>();
  #shown: Documents = {};

  take(record: HistoryRecord): void {
    if (record.kind === 'start') this.#lastCommit = parseLsn(record.lsn);
    else if (record.kind === 'commit') this.#commit(record.n, parseLsn(record.lsn));
    else if (record.kind === 'fastaaps') this.#observed(record, record.documents);
    else if (record.kind === 'replica') this.#observed(record, record.tables);
    else if (record.kind === 'versions') this.#versioned(record);
    else if (record.kind === 'refused') this.#refused.set(record.id, parseLsn(record.lsn));
    else if (record.kind === 'truth') {
      this.#truth(record.of, record.lsn, record.of === 'fastaaps' ? record.documents : record.tables);
    }
  }

  /** Documents that were refused, and of which no newer version was seen since. */
  get refused(): string[] {
    return [...this.#refused.keys()];
  }

  /** What was found, once the history is at its end. */
  verdict(): Verdict {
    for (const pending of this.#pending.values()) {
      for (const { what, lsn } of pending.splice(0)) this.#differ(`${what}: no truth is told as of ${lsn}`);
    }
    const more = this.#count - this.#told.length;
    const differences = more > 0 ? [...this.#told, ...Array(more).fill('(not told)')] : this.#told;
    return { commits: this.#commits, comparisons: this.#comparisons, differences };
  }

  #commit(n: number, lsn: bigint): void {
    this.#commits++;
    if (n !== this.#commits) this.#differ(`commit ${n} is the ${this.#commits}th that is told`);
    if (this.#lastCommit !== undefined && lsn <= this.#lastCommit)
      this.#differ(`commit ${n} is not after the one before`);
    this.#lastCommit = lsn;
  }

  #observed(record: FastaapsRecord | ReplicaRecord, seen: Documents | Sums): void {
    const what = `${record.kind} at ${record.at} ms (${record.lsn})`;
    const position = { history: record.history, seq: BigInt(record.seq), lsn: parseLsn(record.lsn) };
    const last = this.#positions.get(record.kind);
    if (last && (position.history < last.history || (position.history === last.history && position.seq < last.seq))) {
      this.#differ(`${what}: went back from ${last.history}.${last.seq} to ${record.history}.${record.seq}`);
    } else if (last && position.lsn < last.lsn) this.#differ(`${what}: its LSN went back`);
    this.#positions.set(record.kind, position);
    this.#pending.get(record.kind)!.push({ what, lsn: record.lsn, seen });
  }

  #truth(of: 'fastaaps' | 'replica', lsn: string, truth: Record<string, string>): void {
    const waiting = this.#pending.get(of)!;
    while (waiting[0]?.lsn === lsn) {
      const { what, seen } = waiting.shift()!;
      this.#comparisons++;
      this.#compare(of, what, parseLsn(lsn), seen, truth);
    }
  }

  #compare(of: string, what: string, lsn: bigint, seen: Record<string, string>, truth: Record<string, string>): void {
    for (const id of new Set([...Object.keys(seen), ...Object.keys(truth)])) {
      const since = of === 'fastaaps' ? this.#refused.get(id) : undefined;
      const refused = since !== undefined && lsn >= since;
      if (seen[id] === truth[id]) {
        if (refused) this.#refused.delete(id);
      } else if (!(refused && seen[id] === this.#shown[id])) {
        const how = seen[id] === undefined ? 'is missing' : truth[id] === undefined ? 'should not be there' : 'differs';
        this.#differ(`${what}: ${of === 'fastaaps' ? 'document' : 'table'} ${id} ${how}`);
      }
    }
    if (of === 'fastaaps') this.#shown = seen;
  }

  #versioned({ at, versions }: VersionsRecord): void {
    for (const [id, [epoch, text]] of Object.entries(versions)) {
      const version = BigInt(text);
      const last = this.#versions.get(id);
      if (last && (epoch < last[0] || (epoch === last[0] && version < last[1]))) {
        this.#differ(`versions at ${at} ms: document ${id} went back from ${last.join('.')} to ${epoch}.${version}`);
      }
      this.#versions.set(id, [epoch, version]);
    }
  }

  #differ(what: string): void {
    this.#count++;
    if (this.#told.length < TOLD) this.#told.push(what);
  }
}
