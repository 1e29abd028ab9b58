import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { CompiledConnector, TableRef } from '../../connector/compiled.ts';
import { type ConnectorSchemas, collectionName } from '../../consumer/replica-names.ts';
import { ReplicaTables } from '../../consumer/replica-tables.ts';
import type { Comparison, Described, Range } from '../comparison.ts';
import type { SiiraysReader } from '../siirays-reader.ts';
import { affectedDocuments } from './affected-documents.ts';
import { BothSides, ShapeMoved } from './both-sides.ts';
import { type ComparedTable, comparedTable } from './compared-table.ts';
import { countedParts } from './counted-parts.ts';
import { keyedParts } from './keyed-parts.ts';
import { explained, NotComparable } from './not-comparable.ts';
import type { Part } from './part.ts';
import { RangeSize } from './range-size.ts';
import type { Key } from './range-sql.ts';
import { ReplicaReader } from './replica-reader.ts';
import type { RowCandidate } from './row-candidate.ts';
import { describeRows } from './row-description.ts';
import { fits, lookAgain } from './row-lookup.ts';
import { readSourceTables, type SourceTable } from './source-catalog.ts';

export interface RowComparisonOptions {
  readonly connector: CompiledConnector;
  readonly schemas: ConnectorSchemas;
  /** The database `sync`. */
  readonly syncUrl: string;
  /** It is not closed with the comparison. */
  readonly siirays: SiiraysReader;
  /** Only these (`schema.table`); null: all that the connector reads. */
  readonly tables: readonly string[] | null;
  /** Asks for rows to be read again; keys are PostgreSQL's texts in the order of the table's identity. */
  rows(table: TableRef, keys: string[][]): Promise<void>;
  /** A table was passed over: the run cannot say that all is equal. */
  onNotComparable(table: string, reason: string): void;
  /** How long SIIRAyS should be read at a time, in milliseconds; 500 unless told otherwise. */
  readonly rangeMs?: number;
  /** Most and fewest rows of a range; 20,000 and 1,000 unless told otherwise. */
  readonly maxRangeRows?: number;
  readonly minRangeRows?: number;
}

/** A key without an order that indexes serve costs SIIRAyS a look at the whole table for each range: fewer, larger ones. */
const UNINDEXED_FACTOR = 5;
/** Rows of a table without a key that are held of each side, in ranges. */
const COUNTED_FACTOR = 4;
/** Keys that one look takes. */
const LOOK_KEYS = 1_000;
/** Rows whose contents are read at once. */
const DESCRIBE_ROWS = 100;
/** Keys that one signal carries: so many the producer reads at once. */
const SIGNAL_KEYS = 500;
/** How often a table is begun again because its shape in the replica has changed. */
const ATTEMPTS = 3;

/** Where a scan goes on: the table, and the key after which; no table: it is done. */
const cursorSchema = z.object({ table: z.string().nullable(), after: z.array(z.string()).nullable() });

/** A table, and the tables of the replica as they were read with it. */
interface Loaded {
  readonly table: ComparedTable;
  readonly tables: ReplicaTables;
}

/**
 * Compares the rows of SIIRAyS's tables with those of the replica. One call at a time, beside a scan only between two of
 * its ranges.
 */
export class RowComparison implements Comparison<RowCandidate> {
  readonly phase = 'rows';
  readonly #options: RowComparisonOptions;
  readonly #replica: ReplicaReader;
  readonly #sides: BothSides;
  readonly #rangeMs: number;
  readonly #maxRows: number;
  readonly #minRows: number;

  constructor(options: RowComparisonOptions) {
    const { schemas, syncUrl, siirays, rangeMs = 500, maxRangeRows = 20_000, minRangeRows = 1_000 } = options;
    this.#options = options;
    this.#rangeMs = rangeMs;
    this.#maxRows = maxRangeRows;
    this.#minRows = minRangeRows;
    this.#replica = new ReplicaReader(syncUrl);
    this.#sides = new BothSides({ siirays, replica: this.#replica, syncSchema: schemas.sync, rangeMs });
  }

  async *scan(from: unknown, signal: AbortSignal): AsyncGenerator<Range<RowCandidate>> {
    const refs = this.#refs();
    const names = refs.map(collectionName);
    const start = placeOf(from, names);
    const sources = await this.#sources(refs);
    const counts = names.map((name) => sources.get(name)?.rows ?? 0);
    for (let place = start.place; place < refs.length; place++) {
      const name = names[place]!;
      const whole = place !== start.place || start.after === null;
      let seen = 0;
      try {
        for await (const part of this.#parts(refs[place]!, place === start.place ? start.after : null, signal)) {
          seen += part.compared;
          counts[place] = part.last && whole ? seen : Math.max(counts[place]!, seen);
          yield {
            candidates: part.candidates,
            compared: part.compared,
            cursor: part.last ? { table: names[place + 1] ?? null, after: null } : { table: name, after: part.after },
            total: counts.reduce((sum, count) => sum + count, 0),
            table: name,
            proven: [],
          };
        }
      } catch (error) {
        this.#passOver(name, error);
      }
    }
  }

  async look(candidates: readonly RowCandidate[]): Promise<RowCandidate[]> {
    const differing: RowCandidate[] = [];
    await this.#byTable(candidates, LOOK_KEYS, {
      each: async ({ table }, some) => differing.push(...(await lookAgain(this.#sides, table, some))),
      // Neither equal nor different: with another pair each time it is never settled.
      lost: (some) => differing.push(...some.map((one) => ({ ...one, pair: `not comparable ${randomUUID()}` }))),
    });
    return differing;
  }

  async describe(candidates: readonly RowCandidate[]): Promise<Map<string, Described>> {
    const found = new Map<string, Described>();
    await this.#byTable(candidates, DESCRIBE_ROWS, {
      each: async ({ table, tables }, some) => {
        const described = await describeRows(this.#sides, table, some);
        const rows = described.flatMap(({ rows }, difference) => rows.map((cells) => ({ difference, cells })));
        const documents = await affectedDocuments(this.#replica, this.#options.connector, tables, table, rows);
        for (const [place, { candidate, described: one }] of described.entries()) {
          found.set(candidate, { ...one, documents: documents.get(place) ?? [] });
        }
      },
      lost: () => undefined,
    });
    return found;
  }

  async repair(candidates: readonly RowCandidate[]): Promise<Map<string, string>> {
    for (const [name, some] of Map.groupBy(candidates, ({ table }) => table)) {
      const ref = this.#options.connector.tables.find((table) => collectionName(table) === name)!;
      const keys = some.flatMap(({ keys }) => (keys ? [[...keys]] : []));
      // A table without a key is read whole, whatever is asked for.
      if (keys.length < some.length) await this.#options.rows(ref, [['']]);
      for (const batch of batches(keys, SIGNAL_KEYS)) await this.#options.rows(ref, batch);
    }
    return new Map();
  }

  /** Ends the session on `sync`. */
  async close(): Promise<void> {
    await this.#replica.close();
  }

  /** The connector's tables that are asked for, each once. */
  #refs(): TableRef[] {
    const { connector, tables } = this.#options;
    const refs = new Map(
      connector.tables.map(({ schema, table }) => [collectionName({ schema, table }), { schema, table }]),
    );
    return [...refs].flatMap(([name, ref]) => (tables === null || tables.includes(name) ? [ref] : []));
  }

  #sources(refs: readonly TableRef[]): Promise<Map<string, SourceTable>> {
    return this.#options.siirays.snapshot([], this.#rangeMs, (client) => readSourceTables(client, refs));
  }

  /** A table as it stands on both sides now. @throws NotComparable where it does not */
  async #load(ref: TableRef): Promise<Loaded> {
    const { connector, schemas } = this.#options;
    const name = collectionName(ref);
    const tables = new ReplicaTables(schemas, false);
    await this.#replica.snapshot(null, (client) => tables.load(client));
    const replica = tables.get(ref);
    if (!replica) {
      throw new NotComparable(
        name,
        `the replica of ${connector.name} has no table ${name} yet: wait until its first load, or the one after a change of the connector, is done`,
      );
    }
    const source = (await this.#sources([ref])).get(name);
    if (!source) {
      throw new NotComparable(
        name,
        `SIIRAyS has no table ${name} that the reconciler's role can see: make it again, or take it out of the connector ${connector.name}`,
      );
    }
    return { table: comparedTable(replica, source), tables };
  }

  async *#parts(ref: TableRef, from: Key | null, signal: AbortSignal): AsyncGenerator<Part> {
    let after = from;
    for (let attempt = 1; ; attempt++) {
      try {
        const { table } = await this.#load(ref);
        yield* this.#partsOf(table, after?.length === table.key.length ? after : null, signal);
        return;
      } catch (error) {
        if (!(error instanceof ShapeMoved) || attempt === ATTEMPTS) throw error;
        // The key may be another now.
        after = null;
      }
    }
  }

  #partsOf(table: ComparedTable, after: Key | null, signal: AbortSignal): AsyncGenerator<Part> {
    if (table.key.length === 0) return countedParts(this.#sides, table, COUNTED_FACTOR * this.#maxRows, signal);
    const indexed = table.key[table.scan[0]!]!.ordered !== null;
    const most = indexed ? this.#maxRows : UNINDEXED_FACTOR * this.#maxRows;
    return keyedParts(
      this.#sides,
      table,
      after,
      new RangeSize(this.#rangeMs, indexed ? this.#minRows : most, most),
      signal,
    );
  }

  /** Does something with candidates, batch by batch of one table; `lost` gets those whose table cannot be compared now. */
  async #byTable(
    candidates: readonly RowCandidate[],
    size: number,
    act: {
      each(loaded: Loaded, candidates: RowCandidate[]): Promise<unknown>;
      lost(candidates: RowCandidate[]): void;
    },
  ): Promise<void> {
    const refs = new Map(this.#refs().map((ref) => [collectionName(ref), ref]));
    for (const [name, some] of Map.groupBy(candidates, ({ table }) => table)) {
      let left = some;
      try {
        const loaded = await this.#load(refs.get(name)!);
        const misfits = some.filter((candidate) => !fits(loaded.table, candidate));
        if (misfits.length > 0) {
          this.#options.onNotComparable(name, `${name} has another key now: compare it when the change is done`);
          act.lost(misfits);
        }
        left = some.filter((candidate) => fits(loaded.table, candidate));
        for (const batch of batches(left, size)) {
          await act.each(loaded, batch);
          left = left.slice(batch.length);
        }
      } catch (error) {
        this.#passOver(name, error);
        act.lost(left);
      }
    }
  }

  /** @throws the error, where it says nothing of the table */
  #passOver(name: string, error: unknown): void {
    const reason =
      error instanceof ShapeMoved
        ? new NotComparable(name, `${error.message} again and again: compare it when the change is done`)
        : explained(error, name);
    if (!(reason instanceof NotComparable)) throw reason;
    this.#options.onNotComparable(name, reason.message);
  }
}

/** @throws RangeError where the cursor is none of ours */
function placeOf(from: unknown, names: readonly string[]): { place: number; after: Key | null } {
  if (from === null || from === undefined) return { place: 0, after: null };
  const cursor = cursorSchema.safeParse(from);
  if (!cursor.success) throw new RangeError('not a cursor of a comparison of rows');
  const { table, after } = cursor.data;
  if (table === null) return { place: names.length, after: null };
  const place = names.indexOf(table);
  // The connector has changed since: everything is compared.
  return place < 0 ? { place: 0, after: null } : { place, after };
}

function* batches<T>(list: readonly T[], size: number): Generator<T[]> {
  for (let from = 0; from < list.length; from += size) yield list.slice(from, from + size);
}
