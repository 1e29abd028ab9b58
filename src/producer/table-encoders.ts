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
import { nameOf, type TableEras } from './table-eras.ts';

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
  eras: TableEras;
  /** Whether changes of the table are looked for that no event tells. */
  isTracked(name: string): boolean;
  /** The topic's new schema cannot read what the last one wrote. */
  onIncompatible(topic: string): void;
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
  /** Relations that the stream has described. */
  readonly #described = new Set<number>();

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
      for (let table = waiting.pop(); table; table = waiting.pop()) await this.forShape(this.#shape(table));
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
  }

  isTracked(name: string): boolean {
    return this.#options.isTracked(name);
  }

  /**
   * The writer for a relation, where it is known without asking anyone. Not for one that is described again: something
   * about it has changed, and what it is shows in the catalogue only.
   */
  known(relation: RelationMessage): TableWriter | undefined {
    const again = this.#described.has(relation.oid);
    this.#described.add(relation.oid);
    const table = this.#catalog.find((entry) => entry.oid === relation.oid);
    if (again || !table || !sameShape(relation, table)) return undefined;
    return this.#options.eras.isSame(table) ? this.#writers.get(keyOf(this.#shape(table))) : undefined;
  }

  /**
   * The writer for a relation that is not known: the catalogue is read anew, which may be ahead of the stream. Where it
   * tells of another era, that begins here: what the stream brings next may build on rows that no event has brought.
   */
  async resolve(client: pg.ClientBase, relation: RelationMessage): Promise<TableWriter> {
    const { eras } = this.#options;
    await this.describe(client);
    const name = nameOf(relation);
    const table = this.#catalog.find((entry) => entry.oid === relation.oid);
    if (table && this.isTracked(name)) eras.note(table);
    const shape =
      table && sameShape(relation, table)
        ? this.#shape(table)
        : await shapeOfRelation(client, relation, table, eras.of(name));
    return this.forShape(shape);
  }

  /** The writer of a table as the catalogue has it, in an era that has not begun yet. */
  ofEra(table: CatalogTable, era: number): Promise<TableWriter> {
    return this.forShape(shapeOfCatalog(table, era));
  }

  #shape(table: CatalogTable): TableShape {
    return shapeOfCatalog(table, this.#options.eras.of(nameOf(table)));
  }

  /** The writer of a shape; its schemas are registered where they are not yet. */
  async forShape(shape: TableShape): Promise<TableWriter> {
    const known = this.#writers.get(keyOf(shape));
    if (known) return known;
    const { registry, topics, source } = this.#options;
    const topic = topics.table(shape.schema, shape.table);
    await this.#options.ensureTopic(topic);
    const schemas = tableSchemas(topic, shape);
    const told = (): void => this.#options.onIncompatible(topic);
    const key = await registry.register(`${topic}-key`, schemas.key, told);
    const value = await registry.register(`${topic}-value`, schemas.value, told);
    const encoder = new EnvelopeEncoder(shape, { key, value }, source, this.#out);
    const writer = { encoder, topic, name: collectionName(shape), events: 0 };
    this.#writers.set(keyOf(shape), writer);
    return writer;
  }
}

function keyOf(shape: TableShape): string {
  return `${shape.schema}\u0000${shape.table}\u0000${shape.fingerprint}`;
}
