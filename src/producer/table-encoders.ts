import type pg from 'pg';
import { AvroBytes } from '../kafka/avro-bytes.ts';
import { tableSchemas } from '../kafka/avro-schema.ts';
import type { TableShape } from '../kafka/change-event.ts';
import { EnvelopeEncoder } from '../kafka/envelope-encoder.ts';
import type { SchemaSink } from '../kafka/registry.ts';
import type { Topics } from '../kafka/topics.ts';
import { collectionName } from '../postgres/name-parts.ts';
import type { RelationMessage } from './pgoutput.ts';
import { type CatalogTable, readCatalog, sameShape, shapeOfCatalog, shapeOfRelation } from './table-catalog.ts';

/** A table in one shape, ready to be written. */
export interface TableWriter {
  encoder: EnvelopeEncoder;
  topic: string;
  /** `schema.table` */
  name: string;
  /** Events of the current transaction so far. */
  events: number;
}

export interface TableEncodersOptions {
  registry: SchemaSink;
  topics: Topics;
  source: { version: string; name: string; db: string };
  publication: string;
  /** Makes sure that a topic exists. */
  ensureTopic(topic: string): Promise<void>;
}

/** How many schemas are registered at once. */
const PARALLEL = 6;

/**
 * Finds, for each relation of the stream and each chunk, the encoder of just that shape, registering its schemas first.
 */
export class TableEncoders {
  readonly #options: TableEncodersOptions;
  /** By topic and fingerprint. */
  readonly #writers = new Map<string, TableWriter>();
  readonly #out = new AvroBytes();
  #catalog: CatalogTable[] = [];

  constructor(options: TableEncodersOptions) {
    this.#options = options;
  }

  /** Reads the catalogue of published tables. */
  async describe(client: pg.ClientBase): Promise<CatalogTable[]> {
    this.#catalog = await readCatalog(client, this.#options.publication);
    return this.#catalog;
  }

  /** Registers the schemas of every table described, so that the stream need not wait for them. */
  async prepare(): Promise<void> {
    const waiting = [...this.#catalog];
    const worker = async (): Promise<void> => {
      for (let table = waiting.pop(); table; table = waiting.pop()) await this.forShape(shapeOfCatalog(table));
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
  }

  /** The writer for a relation, where it is known without asking anyone. */
  known(relation: RelationMessage): TableWriter | undefined {
    const table = this.#catalog.find((entry) => entry.oid === relation.oid);
    return table && sameShape(relation, table) ? this.#writers.get(keyOf(shapeOfCatalog(table))) : undefined;
  }

  /** The writer for a relation that is not known: the catalogue is read anew. */
  async resolve(client: pg.ClientBase, relation: RelationMessage): Promise<TableWriter> {
    await this.describe(client);
    const table = this.#catalog.find((entry) => entry.oid === relation.oid);
    const shape =
      table && sameShape(relation, table) ? shapeOfCatalog(table) : await shapeOfRelation(client, relation, table);
    return this.forShape(shape);
  }

  /** The writer of a shape; its schemas are registered where they are not yet. */
  async forShape(shape: TableShape): Promise<TableWriter> {
    const known = this.#writers.get(keyOf(shape));
    if (known) return known;
    const { registry, topics, source } = this.#options;
    const topic = topics.table(shape.schema, shape.table);
    await this.#options.ensureTopic(topic);
    const schemas = tableSchemas(topic, shape);
    const key = await registry.register(`${topic}-key`, schemas.key);
    const value = await registry.register(`${topic}-value`, schemas.value);
    const encoder = new EnvelopeEncoder(shape, { key, value }, source, this.#out);
    const writer = { encoder, topic, name: collectionName(shape), events: 0 };
    this.#writers.set(keyOf(shape), writer);
    return writer;
  }
}

function keyOf(shape: TableShape): string {
  return `${shape.schema}\u0000${shape.table}\u0000${shape.fingerprint}`;
}
