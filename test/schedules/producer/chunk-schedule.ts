import assert from 'node:assert/strict';
import type { TableShape } from '../../../src/kafka/change-event.ts';
import { topicsFor } from '../../../src/kafka/topics.ts';
import type { Tuple } from '../../../src/kafka/tuple.ts';
import { formatLsn } from '../../../src/postgres/lsn.ts';
import { ChangeStream } from '../../../src/producer/change-stream.ts';
import { Chunk, type ChunkRead } from '../../../src/producer/chunk.ts';
import type { DeliveredXids } from '../../../src/producer/delivered-xids.ts';
import type { Outgoing } from '../../../src/producer/outgoing.ts';
import type { Position } from '../../../src/producer/position.ts';
import { PublicationStart } from '../../../src/producer/publication-start.ts';
import type { TableWriter } from '../../../src/producer/table-encoders.ts';
import { TableEras } from '../../../src/producer/table-eras.ts';
import { START as FAKE_START } from '../../producer/fake-writer.ts';
import * as message from '../../producer/pgoutput-messages.ts';
import { OID, type Row, randomOf, SourceModel } from '../../producer/source-model.ts';

type Values = (string | null | undefined)[];

/** What the consumer gets of one unit, and the position that holds then. */
interface Unit {
  events: { op: string; before: Values | null; after: Values | null }[];
  position: Position;
  /** Which part of the table was read, for a chunk. */
  part: number | null;
}

/** A chunk under way. */
interface Held {
  chunk: Chunk;
  before: DeliveredXids;
  read?: ChunkRead;
  absent: Tuple[];
  arrived?: boolean;
}

/** A part of the table that is read as one chunk. */
type Part = { kind: 'keys'; keys: string[] } | { kind: 'between'; from: string; to: string };

const START: Position = { ...FAKE_START, seq: 0n, end_lsn: 0x1000n };

/**
 * One random schedule: transactions of a SourceModel, the stream that delivers them message by message, and chunks that
 * are read, held and published meanwhile, with restarts of the producer between. What a consumer makes of the units must
 * be the model's table at every unit from the last chunk on.
 */
export class ChunkSchedule {
  readonly #random: (below: number) => number;
  readonly #source: SourceModel;
  readonly #shape: TableShape;
  readonly #parts: Part[];
  /** The consumer's rows at the beginning. */
  readonly #base: Row[];
  #units: Unit[] = [];
  #events: Unit['events'] = [];
  #stream: ChangeStream;
  #writer: TableWriter;
  #queue: Buffer[] = [];
  #described = false;
  /** Commits whose messages were put into the queue. */
  #sent = 0;
  #chunk: Held | null = null;

  constructor(seed: number, keyed: boolean) {
    this.#random = randomOf(seed);
    this.#source = new SourceModel(this.#random, keyed);
    const columns = ['id', 'big', 'small'].map((name) => ({ name, type: 'text' }));
    this.#shape = { schema: 'public', table: 't', columns, key: keyed ? [0] : [], fingerprint: 'f' };
    const all: Part = { kind: 'between', from: '0', to: '9' };
    const cut = String(1 + this.#random(6));
    const keys = ['0', '1', '2', '3', '4', '5', '6'].filter(() => this.#random(2) === 0);
    this.#parts = !keyed
      ? [all]
      : [
          [all],
          [
            { ...all, to: cut },
            { ...all, from: cut },
          ],
          [{ kind: 'keys' as const, keys }],
        ][this.#random(3)]!;
    // Where certain rows are asked for, the consumer has all but those, and rows that SIIRAyS has not.
    const asked = this.#parts[0]!.kind === 'keys' ? keys : null;
    const initial = this.#source.at(0n);
    const phantoms = keys.filter((id) => !initial.some((row) => row.id === id) && this.#random(2) === 0);
    this.#base = asked
      ? [...initial.filter((row) => !asked.includes(row.id)), ...phantoms.map((id) => ({ id, big: 'm9', small: '9' }))]
      : [];
    [this.#stream, this.#writer] = this.#start(START);
  }

  #start(position: Position): [ChangeStream, TableWriter] {
    const outgoing = {
      add: () => undefined,
      end: (at: Position) => {
        const events = this.#events.splice(0);
        this.#units.push({ events, position: at, part: this.#publishing });
      },
    } as unknown as Outgoing;
    const encode = (op: string, before: Tuple | null, after: Tuple | null) => {
      this.#events.push({ op, before: before && message.valuesOf(before), after: after && message.valuesOf(after) });
      return { key: null, value: Buffer.alloc(0), headers: {} };
    };
    const writer = { encoder: { shape: this.#shape, encode }, topic: 't', name: 'public.t', events: 0 };
    const stream = new ChangeStream({
      outgoing,
      topics: topicsFor('x'),
      position,
      startedAt: position.end_lsn,
      publicationStart: new PublicationStart(),
      eras: new TableEras(),
      transactionIds: { key: 1, value: 2 },
      known: () => writer as unknown as TableWriter,
      now: () => 0,
    });
    return [stream, writer as unknown as TableWriter];
  }

  #publishing: number | null = null;

  /** The part that is to be read next; all before it are in Kafka. */
  get #next(): number {
    return Math.max(-1, ...this.#units.map((unit) => unit.part ?? -1)) + 1;
  }

  run(): void {
    for (let step = 0; step < 90; step++) this.#step(this.#random(100));
    // Whatever is under way comes to its end, and then a little more happens.
    for (let round = 0; this.#next < this.#parts.length; round++) {
      assert.ok(round < 100, 'the chunk is never published');
      this.#source.commit();
      for (let i = 0; i < 4; i++) this.#source.show();
      this.#deliverAll();
      this.#stream.keepalive(formatLsn(this.#source.lsn));
      for (let i = 0; i < 4; i++) this.#advanceChunk();
    }
    for (let step = 0; step < 20; step++) this.#step(this.#random(72));
    for (let i = 0; i < 4; i++) this.#source.commit();
    this.#deliverAll();
    this.#check();
  }

  #deliverAll(): void {
    while (this.#sent < this.#source.commits.length) this.#fetch();
    while (this.#queue.length > 0) this.#deliver();
  }

  #step(action: number): void {
    const source = this.#source;
    if (action < 14) source.begin();
    else if (action < 28) source.commit();
    else if (action < 29) source.rollBack();
    else if (action < 43) source.show();
    else if (action < 53) this.#fetch();
    else if (action < 72) this.#deliver();
    else if (action < 77) this.#keepalive();
    else if (action < 79) this.#stream.delivered.forgetSeen(source.snapshot());
    else if (action < 81) this.#restart();
    else this.#advanceChunk();
  }

  /** The server decodes the next commit. */
  #fetch(): void {
    const transaction = this.#source.commits[this.#sent];
    if (!transaction) return;
    this.#sent++;
    const [begin, ...rest] = this.#source.messages(transaction);
    const columns = this.#shape.columns.map(({ name }, i) => ({
      name,
      key: this.#shape.key.includes(i),
      typeOid: 25,
      typeModifier: -1,
    }));
    const identity = this.#source.keyed ? 'd' : 'f';
    const described = message.relation({ oid: OID, schema: 'public', table: 't', identity, columns });
    this.#queue.push(begin!, ...(this.#described ? [] : [described]), ...rest);
    this.#described = true;
  }

  #deliver(): void {
    const next = this.#queue.shift();
    if (!next) return;
    // Overwritten afterwards, as the client does with its buffer.
    const lent = Buffer.from(next);
    this.#stream.handle('0/1', lent);
    lent.fill(0xee);
  }

  #keepalive(): void {
    const all = this.#queue.length === 0 && this.#sent === this.#source.commits.length;
    if (all) this.#stream.keepalive(formatLsn(this.#source.lsn));
    if (this.#random(3) === 0) this.#stream.advance();
  }

  /** Another producer goes on from what is in Kafka; the slot may be confirmed less far. */
  #restart(): void {
    const lost = this.#random(3);
    this.#units.splice(Math.max(0, this.#units.length - lost));
    const position = this.#units.at(-1)?.position ?? START;
    const confirmed = this.#units.at(-1 - this.#random(3))?.position ?? START;
    if (this.#chunk) this.#source.reading = false;
    this.#chunk = null;
    this.#events = [];
    this.#queue = [];
    this.#described = false;
    const from = this.#source.commits.findIndex(({ commitLsn }) => commitLsn >= confirmed.end_lsn);
    this.#sent = from === -1 ? this.#source.commits.length : from;
    [this.#stream, this.#writer] = this.#start(position);
  }

  /** The next step of SnapshotRunner's protocol. */
  #advanceChunk(): void {
    const part = this.#parts[this.#next];
    if (!part) return;
    const held = this.#chunk;
    if (!held) {
      const chunk = new Chunk('public.t', 1 << 20);
      this.#chunk = { chunk, before: this.#stream.watch(chunk), absent: [] };
    } else if (!held.read) {
      this.#read(held, part);
    } else if (held.read.barrier === 0n) {
      held.read.barrier = this.#source.lsn;
      this.#source.reading = false;
    } else if (!held.arrived) {
      held.arrived = held.chunk.arrive(held.read, held.before, held.absent);
      if (!held.arrived) this.#drop();
    } else if (this.#stream.passed >= held.chunk.barrier! && !this.#stream.inTransaction) {
      if (held.chunk.fits) {
        this.#publishing = this.#next;
        this.#stream.publishChunk(this.#writer, held.chunk.rows(), !this.#source.keyed, held.chunk.absent(), []);
        this.#publishing = null;
      }
      this.#drop();
    }
  }

  #read(held: Held, part: Part): void {
    const rows = this.#source.readable();
    if (!rows) return;
    this.#source.reading = true;
    const inPart = (id: string): boolean =>
      part.kind === 'keys' ? part.keys.includes(id) : id >= part.from && id < part.to;
    const found = rows.filter((row) => inPart(row.id));
    if (part.kind === 'keys') {
      const absent = part.keys.filter((id) => !found.some((row) => row.id === id));
      held.absent = absent.map((id) => message.tuple([id, null, null]));
    }
    const tuples = found.map(({ id, big, small }) => message.tuple([id, big, small]));
    held.read = { shape: this.#shape, rows: tuples, snapshot: this.#source.snapshot(), barrier: 0n };
  }

  #drop(): void {
    if (this.#chunk) this.#stream.unwatch(this.#chunk.chunk);
    this.#chunk = null;
  }

  /** Follows the units as a consumer does, and compares from the last chunk on. */
  #check(): void {
    const from = this.#units.findLastIndex((unit) => unit.part !== null);
    const keyed = this.#source.keyed;
    const rows = new Map<string, Values>(this.#base.map(({ id, big, small }) => [id, [id, big, small]]));
    const bag = new Map<string, number>();
    const put = (row: Values, n: number): void => {
      bag.set(JSON.stringify(row), (bag.get(JSON.stringify(row)) ?? 0) + n);
    };
    this.#units.forEach(({ events, position, part }, i) => {
      for (const { op, before, after } of events) {
        if (op === 't') {
          rows.clear();
          bag.clear();
        } else if (keyed) {
          const old = before ?? (op === 'u' ? after : null);
          const had = old && rows.get(old[0]!);
          if (before) rows.delete(before[0]!);
          // Undefined where nothing is known: such a row is asked for again.
          if (after)
            rows.set(
              after[0]!,
              after.map((value, n) => (value === undefined ? had?.[n] : value)),
            );
        } else {
          if (before) put(before, -1);
          if (after)
            put(
              after.map((value, n) => (value === undefined ? before![n] : value)),
              1,
            );
        }
      }
      if (i < from) return;
      const expected = this.#source.at(position.end_lsn).map(({ id, big, small }) => [id, big, small]);
      const seen = keyed ? [...rows.values()] : [...bag].flatMap(([row, n]) => Array<Values>(n).fill(JSON.parse(row)));
      const filled = this.#parts.length === 1 && this.#parts[0]!.kind === 'between' ? seen : known(seen, expected);
      assert.deepEqual(filled.map(String).sort(), expected.map(String).sort(), `unit ${i}, part ${part}`);
    });
  }
}

/** What is asked for again counts as known; only a chunk of the whole table leaves nothing to ask for. */
function known(rows: Values[], expected: Values[]): Values[] {
  return rows.map((row) =>
    row.map((value, n) => (value === undefined ? expected.find(([id]) => id === row[0])?.[n] : value)),
  );
}
