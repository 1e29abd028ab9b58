import type { Kafka, Producer } from 'kafkajs';
import type pg from 'pg';
import { quoteIdentifier } from '../postgres/identifier.ts';

/** Letters sent at once. */
const PORTION = 500;
const LOOK_MS = 1_000;

export interface DeadLettersOptions {
  client: pg.ClientBase;
  syncSchema: string;
  connector: string;
  kafka: Kafka;
  topic: string;
}

/**
 * Copies dead letters into their topic, at least once each: the table stays the truth. A message tells which document was
 * refused and why, never the document.
 */
export class DeadLetters {
  readonly #o: DeadLettersOptions;
  readonly #producer: Producer;
  readonly #table: string;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #suspected = true;

  constructor(options: DeadLettersOptions) {
    this.#o = options;
    this.#producer = options.kafka.producer({ allowAutoTopicCreation: false });
    this.#table = `${quoteIdentifier(options.syncSchema)}.dead_letter`;
  }

  connect(): Promise<void> {
    return this.#producer.connect();
  }

  disconnect(): Promise<void> {
    return this.#producer.disconnect();
  }

  /** Some have been written. */
  written(): void {
    this.#suspected = true;
  }

  /** Sends what is not in the topic yet; to be called between batches, cheap where nothing is. */
  async publish(): Promise<void> {
    const now = performance.now();
    if (!this.#suspected || now - this.#lookedAt < LOOK_MS) return;
    this.#lookedAt = now;
    const { rows } = await this.#o.client.query<{ id: string; epoch: number; version: string; letter: string }>(
      `SELECT id, epoch, version::text, jsonb_build_object('connector', $1::text, 'id', id, 'epoch', epoch,
         'version', version::text, 'reason', reason, 'path', path, 'detail', detail, 'created_at', created_at)::text AS letter
       FROM ${this.#table} WHERE NOT published LIMIT ${PORTION}`,
      [this.#o.connector],
    );
    if (rows.length > 0) {
      const messages = rows.map(({ id, letter }) => ({ key: `${this.#o.connector}:${id}`, value: letter }));
      await this.#producer.send({ topic: this.#o.topic, acks: -1, messages });
      await this.#o.client.query(
        `UPDATE ${this.#table} AS l SET published = true
         FROM unnest($1::text[], $2::int[], $3::bigint[]) AS sent(id, epoch, version)
         WHERE l.id = sent.id AND l.epoch = sent.epoch AND l.version = sent.version`,
        [rows.map(({ id }) => id), rows.map(({ epoch }) => epoch), rows.map(({ version }) => version)],
      );
    }
    this.#suspected = rows.length === PORTION;
  }
}
