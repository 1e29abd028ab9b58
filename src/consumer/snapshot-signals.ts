import { randomUUID } from 'node:crypto';
import type { Kafka, Producer } from 'kafkajs';
import type { TableRef } from '../connector/compiled.ts';
import { encodeSignal, type Signal } from '../kafka/signal.ts';
import { collectionName } from './replica-names.ts';

/** Asks the producer to read again, through the topic of signals. */
export class SnapshotSignals {
  readonly #topic: string;
  readonly #connector: string;
  readonly #producer: Producer;

  constructor(kafka: Kafka, topic: string, connector: string) {
    this.#topic = topic;
    this.#connector = connector;
    this.#producer = kafka.producer({ allowAutoTopicCreation: false });
  }

  connect(): Promise<void> {
    return this.#producer.connect();
  }

  disconnect(): Promise<void> {
    return this.#producer.disconnect();
  }

  /** A full snapshot of the tables; the producer accepts an id once, however often it is sent. */
  async snapshot(id: string, tables: readonly TableRef[]): Promise<void> {
    await this.#send({ id, kind: 'snapshot', connector: this.#connector, tables: tables.map(collectionName) });
  }

  /** Some rows of a table. */
  async rows(table: TableRef, keys: string[][]): Promise<void> {
    await this.#send({
      id: randomUUID(),
      kind: 'rows',
      connector: this.#connector,
      table: collectionName(table),
      keys,
    });
  }

  async #send(signal: Signal): Promise<void> {
    await this.#producer.send({ topic: this.#topic, acks: -1, messages: [encodeSignal(signal)] });
  }
}
