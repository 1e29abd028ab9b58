import type { TableShape } from '../../src/kafka/change-event.ts';
import type { TransactionContext } from '../../src/kafka/envelope-encoder.ts';
import { topicsFor } from '../../src/kafka/topics.ts';
import { decodeTransactionRecord, type TransactionRecord } from '../../src/kafka/transaction-record.ts';
import type { Tuple } from '../../src/kafka/tuple.ts';
import { ChangeStream } from '../../src/producer/change-stream.ts';
import { Outgoing } from '../../src/producer/outgoing.ts';
import type { RelationMessage } from '../../src/producer/pgoutput.ts';
import type { Position } from '../../src/producer/position.ts';
import { PublicationStart } from '../../src/producer/publication-start.ts';
import type { TableWriter } from '../../src/producer/table-encoders.ts';
import { TableEras } from '../../src/producer/table-eras.ts';
import { valuesOf } from './pgoutput-messages.ts';

export const TOPICS = topicsFor('x');

export const START: Position = {
  history: 1,
  seq: 10n,
  systemIdentifier: '1',
  timeline: 1,
  slot: 's',
  publication: 'p',
  end_lsn: 0x100n,
  last: null,
  signal_offset: '0',
  accepted: [],
  requests: [],
  unseen: [],
  published: {},
  eras: {},
};

export interface Event {
  op: string;
  before: (string | null | undefined)[] | null;
  after: (string | null | undefined)[] | null;
  transaction: string;
  order: [total: number, inTable: number];
}

export function shapeOf(table: string, columns: string[], key: number[] = [0]): TableShape {
  return {
    schema: 'public',
    table,
    columns: columns.map((name) => ({ name, type: 'text' })),
    key,
    fingerprint: `${table}(${columns.join()})`,
  };
}

/** A writer that writes events as JSON, so that a test sees what goes to Kafka, and in which order. */
export function fakeWriter(shape: TableShape): TableWriter {
  const encode = (
    op: string,
    before: Tuple | null,
    after: Tuple | null,
    { id }: TransactionContext,
    place: { totalOrder: number; collectionOrder: number },
  ) => {
    const event: Event = {
      op,
      before: before && valuesOf(before),
      after: after && valuesOf(after),
      transaction: id,
      order: [place.totalOrder, place.collectionOrder],
    };
    return { key: null, value: Buffer.from(JSON.stringify(event)), headers: {} };
  };
  const name = `${shape.schema}.${shape.table}`;
  return {
    encoder: { shape, encode },
    topic: TOPICS.table(shape.schema, shape.table),
    name,
    events: 0,
  } as unknown as TableWriter;
}

export function relationOf(oid: number, shape: TableShape): RelationMessage {
  const columns = shape.columns.map(({ name }, i) => ({
    name,
    key: shape.key.includes(i),
    typeOid: 25,
    typeModifier: -1,
  }));
  return { oid, schema: shape.schema, table: shape.table, identity: 'd', columns };
}

/** What a Kafka transaction holds. */
export interface Committed {
  records: TransactionRecord[];
  /** By table. */
  events: Record<string, Event[]>;
  position: Position;
}

/** A ChangeStream whose tables are known by name, and what it gives to Kafka. */
export class StreamUnderTest {
  readonly outgoing = new Outgoing(1_000_000, 4_000_000);
  readonly publicationStart = new PublicationStart();
  readonly stream: ChangeStream;
  readonly writers = new Map<string, TableWriter>();

  /** @param startedAt where the slot stood when the stream began */
  constructor(position: Position = START, startedAt: bigint = position.end_lsn) {
    this.stream = new ChangeStream({
      outgoing: this.outgoing,
      topics: TOPICS,
      position,
      startedAt,
      publicationStart: this.publicationStart,
      eras: new TableEras(),
      transactionIds: { key: 1, value: 2 },
      known: (relation) => this.writers.get(`${relation.table}(${relation.columns.map(({ name }) => name).join()})`),
      now: () => 1_234,
    });
  }

  know(...shapes: TableShape[]): void {
    for (const shape of shapes) this.writers.set(shape.fingerprint, fakeWriter(shape));
  }

  /** Hands over messages as the client does: in a buffer that is used again at once. */
  receive(...messages: Buffer[]): void {
    for (const message of messages) {
      const lent = Buffer.from(message);
      const unknown = this.stream.handle('0/1', lent);
      lent.fill(0xee);
      if (unknown) throw new Error(`relation ${unknown.table} is not known`);
    }
  }

  /** The next Kafka transaction, or null. */
  committed(): Committed | null {
    const records: TransactionRecord[] = [];
    const events: Record<string, Event[]> = {};
    for (let piece = this.outgoing.take(); piece; piece = this.outgoing.take()) {
      this.outgoing.sent(piece);
      for (const [topic, messages] of piece.messages) {
        for (const { value } of messages) {
          if (topic === TOPICS.transaction) records.push(decodeTransactionRecord(value as Buffer));
          else {
            const table = topic.slice(topic.lastIndexOf('.') + 1);
            events[table] = [...(events[table] ?? []), JSON.parse(String(value))];
          }
        }
      }
      if (piece.ends) return { records, events, position: piece.ends };
    }
    return null;
  }
}
