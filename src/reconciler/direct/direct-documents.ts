import type pg from 'pg';
import type { CompiledConnector } from '../../connector/compiled.ts';
import { isRootId } from '../../connector/root-id.ts';
import type { FastaapsClient } from '../../fastaaps/client.ts';
import type { Comparison, Described, Range } from '../comparison.ts';
import { patiently } from '../documents/patience.ts';
import type { SiiraysReader } from '../siirays-reader.ts';
import { candidateOf, type DirectCandidate, type Seen } from './direct-candidate.ts';
import type { DirectSide, DocumentsOf, Given, GivenText, Held, SeenText } from './direct-side.ts';
import { RangeSize } from './range-size.ts';
import { SiiraysRoots } from './siirays-roots.ts';

export interface DirectOptions {
  connector: CompiledConnector;
  siirays: SiiraysReader;
  /** A database for temporary tables; nothing else of it is used. */
  syncUrl: string;
  fastaaps: FastaapsClient;
  /** Only these documents; null: all. */
  ids: readonly string[] | null;
  /** How long a range should take on SIIRAyS. */
  rangeMs: number;
  /** At most so many documents in a range. */
  rangeDocuments?: number;
  /** Asks for documents to be sent again. @returns those whose dead letter somebody has set aside, which are not */
  markForced(ids: string[]): Promise<readonly string[]>;
  /** @param passedOver something was not compared: nobody can say that all is equal */
  onWarning(text: string, passedOver?: boolean): void;
}

/** Where a scan has come to: what SIIRAyS has is looked at first, then what only FASTAAPS has. */
type ScanCursor =
  | { part: 'siirays'; after: string | null }
  | { part: 'fastaaps'; after: string | null }
  | { part: 'ids'; done: number };

/** What a range of roots has in SIIRAyS. */
interface SiiraysRange {
  given: Given[];
  /** Its last id. */
  last: string | null;
  /** Whether nothing follows. */
  whole: boolean;
  /** About how many roots there are in all, where it is the first range. */
  estimate: number;
}

/** Ranges that are read before FASTAAPS's side is. */
const RANGES_AHEAD = 8;
/** Ids that are looked at in one snapshot where they are named. */
const IDS_AT_ONCE = 500;
/** Surplus documents in one range. */
const SURPLUS_AT_ONCE = 1_000;
/** Length of bodies that are held at once. */
const PORTION_LENGTH = 1 << 20;

/**
 * SIIRAyS's own documents, computed there by the connector's SQL, against those that FASTAAPS holds: needs neither Kafka
 * nor the replica nor anything that the consumer wrote.
 */
export class DirectDocuments implements Comparison<DirectCandidate> {
  readonly phase = 'direct';
  readonly #options: DirectOptions;
  readonly #side: DirectSide;
  readonly #ids: readonly string[] | null;
  readonly #closing = new AbortController();
  readonly #held = new Set<Held>();

  constructor(options: DirectOptions, side: DirectSide) {
    this.#options = options;
    this.#side = side;
    this.#ids = options.ids && [...new Set(options.ids)];
  }

  async *scan(from: unknown, signal: AbortSignal): AsyncGenerator<Range<DirectCandidate>> {
    signal.throwIfAborted();
    const ids = this.#ids;
    const cursor = from as ScanCursor | null;
    const ending = new AbortController();
    const reading = this.#read(ids, false, AbortSignal.any([signal, ending.signal]));
    // Whoever waits for it hears of its error; nobody may be waiting yet when it comes.
    reading.catch(() => undefined);
    try {
      if (ids !== null) yield* this.#scanIds(ids, cursor?.part === 'ids' ? cursor.done : 0, await reading, signal);
      else yield* this.#scanAll(cursor, reading, signal);
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      ending.abort();
      const held = await reading.catch(() => null);
      if (held) await this.#release(held);
    }
  }

  async look(candidates: readonly DirectCandidate[]): Promise<DirectCandidate[]> {
    const found: DirectCandidate[] = [];
    for await (const seen of this.#differing(candidates)) found.push(candidateOf(seen));
    return found;
  }

  async describe(candidates: readonly DirectCandidate[]): Promise<Map<string, Described>> {
    const described = new Map<string, Described>();
    for await (const seen of this.#differing(candidates)) {
      const difference = this.#described(seen);
      if (difference) described.set(seen.id, difference);
    }
    return described;
  }

  async repair(candidates: readonly DirectCandidate[]): Promise<Map<string, string>> {
    const reasons = new Map<string, string>();
    const marked: string[] = [];
    for (const { key, problem } of candidates) {
      if (!isRootId(this.#options.connector, key)) {
        reasons.set(key, 'no root can have this id: FASTAAPS alone can delete the document');
      } else if (problem === null) marked.push(key);
      else reasons.set(key, `SIIRAyS lacks ${problem}, which the document requires`);
    }
    const setAside = marked.length > 0 ? await this.#options.markForced(marked) : [];
    for (const id of setAside) reasons.set(id, 'its dead letter was set aside: replay that to have it sent again');
    return reasons;
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the comparison was closed'));
    await Promise.all([...this.#held].map((held) => this.#release(held)));
  }

  async *#scanAll(
    from: ScanCursor | null,
    reading: Promise<Held>,
    signal: AbortSignal,
  ): AsyncGenerator<Range<DirectCandidate>> {
    const { rangeMs, rangeDocuments } = this.#options;
    const size = new RangeSize(rangeMs, rangeDocuments);
    const first = from?.part === 'siirays' ? from.after : null;
    const ranges = from?.part === 'fastaaps' ? [] : [await this.#range(first, size, signal)];
    let held: Held | null = null;
    reading.then(
      (read) => {
        held = read;
      },
      () => undefined,
    );
    // FASTAAPS takes its time to give the set: SIIRAyS is read meanwhile, but never while somebody else looks at it.
    while (held === null && ranges.length > 0 && ranges.length < RANGES_AHEAD && !ranges.at(-1)!.whole) {
      ranges.push(await this.#range(ranges.at(-1)!.last, size, signal));
    }
    held = await reading;
    let total = await held.count();
    let seen = 0;
    for (let range = ranges.shift(); range !== undefined; ) {
      const { given, whole, last, estimate } = range;
      seen += given.length;
      total = Math.max(total, estimate, seen);
      const cursor: ScanCursor = whole ? { part: 'fastaaps', after: null } : { part: 'siirays', after: last };
      yield rangeOf(given, await held.differing(given), cursor, total);
      range = ranges.shift() ?? (whole ? undefined : await this.#range(last, size, signal));
    }
    const surplus = this.#surplus(from?.part === 'fastaaps' ? from.after : null, from !== null, held, signal);
    for await (const [found, last] of surplus) {
      yield rangeOf([], found, { part: 'fastaaps', after: last } satisfies ScanCursor, total);
    }
  }

  /** Documents that only FASTAAPS has. @param resumed ranges that were looked at before do not show in `held` */
  async *#surplus(
    from: string | null,
    resumed: boolean,
    held: Held,
    signal: AbortSignal,
  ): AsyncGenerator<[found: Seen[], last: string]> {
    for (let after = from; ; ) {
      signal.throwIfAborted();
      const page = await held.remaining(after, SURPLUS_AT_ONCE);
      if (page.length === 0) return;
      const last = page.at(-1)!.id;
      after = last;
      if (resumed) {
        const ids = page.map(({ id }) => id);
        const present = new Set(await this.#snapshot((_, roots) => roots.present(ids)));
        yield [page.filter(({ id }) => !present.has(id)), last];
      } else yield [page, last];
    }
  }

  async *#scanIds(
    ids: readonly string[],
    from: number,
    held: Held,
    signal: AbortSignal,
  ): AsyncGenerator<Range<DirectCandidate>> {
    for (let done = from; done < ids.length; ) {
      signal.throwIfAborted();
      const some = ids.slice(done, done + IDS_AT_ONCE);
      const given = await this.#side.reading((documentsOf) =>
        this.#snapshot(async (client, roots) => {
          const present = await roots.present(some);
          const hashes = await documentsOf(client, roots).hashes(present);
          return [...hashes, ...absentOf(some, present)];
        }),
      );
      done = Math.min(done + IDS_AT_ONCE, ids.length);
      const cursor: ScanCursor = { part: 'ids', done };
      const absent = given.filter(({ hash }) => hash === null).map(({ id }) => id);
      const known = new Set(absent.length > 0 ? await held.known(absent) : []);
      const unknown = absent.filter((id) => !known.has(id));
      yield { ...rangeOf(given, await held.differing(given), cursor, ids.length), unknown };
    }
  }

  async #range(after: string | null, size: RangeSize, signal: AbortSignal): Promise<SiiraysRange> {
    signal.throwIfAborted();
    const limit = size.documents;
    return this.#side.reading((documentsOf) =>
      this.#snapshot(async (client, roots) => {
        const started = performance.now();
        const ids = await roots.following(after, limit);
        const given = await documentsOf(client, roots).hashes(ids);
        size.took(ids.length, performance.now() - started);
        const estimate = after === null ? await roots.estimate() : 0;
        return { given, last: ids.at(-1) ?? after, whole: ids.length < limit, estimate };
      }),
    );
  }

  /** Both sides of candidates anew, by value; those that are equal are left out. */
  async *#differing(candidates: readonly DirectCandidate[]): AsyncGenerator<SeenText & { body: string | null }> {
    if (candidates.length === 0) return;
    const ids = [...new Set(candidates.map(({ key }) => key))];
    const held = await this.#read(ids, true, this.#closing.signal);
    try {
      for (let from = 0; from < ids.length; from += IDS_AT_ONCE) {
        const some = ids.slice(from, from + IDS_AT_ONCE);
        yield* await this.#side.reading((documentsOf) => this.#compared(some, documentsOf, held));
      }
    } finally {
      await this.#release(held);
    }
  }

  async #compared(ids: readonly string[], documentsOf: DocumentsOf, held: Held) {
    return this.#snapshot(async (client, roots) => {
      const found: (SeenText & { body: string | null })[] = [];
      const compare = async (given: readonly GivenText[]): Promise<void> => {
        const bodies = new Map(given.map(({ id, body }) => [id, body]));
        for (const seen of await held.differingTexts(given)) found.push({ ...seen, body: bodies.get(seen.id)! });
      };
      const present = await roots.present(ids);
      let portion: GivenText[] = [];
      let length = 0;
      for await (const given of documentsOf(client, roots).texts(present)) {
        portion.push(given);
        length += given.body?.length ?? 0;
        if (length < PORTION_LENGTH) continue;
        await compare(portion);
        portion = [];
        length = 0;
      }
      await compare([...portion, ...absentOf(ids, present)]);
      return found;
    });
  }

  async #snapshot<T>(read: (client: pg.Client, roots: SiiraysRoots) => Promise<T>): Promise<T> {
    const { connector, siirays, rangeMs } = this.#options;
    return siirays.snapshot(connector.tables, rangeMs, async (client) =>
      read(client, await SiiraysRoots.read(client, connector)),
    );
  }

  async #read(ids: readonly string[] | null, texts: boolean, signal: AbortSignal): Promise<Held> {
    const until = AbortSignal.any([signal, this.#closing.signal]);
    const held = await patiently(() => this.#side.read(ids, texts, until), until);
    this.#held.add(held);
    return held;
  }

  async #release(held: Held): Promise<void> {
    if (this.#held.delete(held)) await held.close();
  }

  /** Null where nothing differs after all, such as JSON that jsonb cannot hold, written in two ways. */
  #described({ id, body, document, problem, version }: SeenText & { body: string | null }): Described | null {
    const common = { table: null, key: null, documents: [id], wrong: 'fastaaps', since: version } as const;
    if (problem !== null) return { ...common, kind: 'dead_letter', path: problem, expected: null, actual: null };
    const difference = this.#side.difference(body, document);
    return difference && { ...common, kind: 'document', ...difference };
  }
}

function absentOf(ids: readonly string[], present: readonly string[]): (Given & { body: null })[] {
  const there = new Set(present);
  return ids.filter((id) => !there.has(id)).map((id) => ({ id, hash: null, problem: null, body: null }));
}

function rangeOf(
  given: readonly Given[],
  differing: readonly Seen[],
  cursor: ScanCursor,
  total: number,
): Range<DirectCandidate> {
  const suspect = new Set(differing.map(({ id }) => id));
  return {
    candidates: differing.map(candidateOf),
    compared: Math.max(given.length, differing.length),
    ...{ cursor, total, table: null },
    proven: given.filter(({ id, hash }) => hash !== null && !suspect.has(id)).map(({ id }) => id),
  };
}
