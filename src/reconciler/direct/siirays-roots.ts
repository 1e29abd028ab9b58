import type pg from 'pg';
import { placementIn, readCatalog } from '../../connector/catalog.ts';
import type { CompiledConnector, Placement } from '../../connector/compiled.ts';
import { textArray } from '../../consumer/text-array.ts';
import { quoteIdentifier } from '../../postgres/identifier.ts';

/** Types whose own order the root's index serves. */
const NUMERIC = /^(smallint|integer|bigint|numeric(\(\d+,-?\d+\))?)$/;

/** The roots of SIIRAyS in one snapshot of it. */
export class SiiraysRoots {
  /** Where the snapshot's tables stand. */
  readonly placement: Placement;
  readonly #client: pg.ClientBase;
  readonly #relation: string;
  readonly #id: string;
  readonly #type: string;

  private constructor(client: pg.ClientBase, connector: CompiledConnector, placement: Placement) {
    this.#client = client;
    this.placement = placement;
    const { relation, types } = placement(connector.root);
    this.#relation = relation;
    this.#id = `t.${quoteIdentifier(connector.root.idColumn)}`;
    this.#type = types[connector.root.idColumn]!;
  }

  /** @throws where SIIRAyS lacks a table of the connector */
  static async read(client: pg.ClientBase, connector: CompiledConnector): Promise<SiiraysRoots> {
    const schemas = [...new Set(connector.tables.map(({ schema }) => schema))];
    return new SiiraysRoots(client, connector, placementIn(await readCatalog(client, schemas)));
  }

  /**
   * The next ids, as many as `limit`: numbers by their value, others by their UTF-8 bytes, which no collation changes.
   * @param after null: from the first
   */
  async following(after: string | null, limit: number): Promise<string[]> {
    const numeric = NUMERIC.test(this.#type);
    const order = numeric ? this.#id : bytesOf(this.#id);
    const bound = numeric ? `$2::text::${this.#type}` : '$2::bytea';
    const value = after === null || numeric ? after : Buffer.from(after);
    const { rows } = await this.#client.query<{ id: string }>(
      `SELECT ${this.#id}::text AS id FROM ${this.#relation} AS t
        WHERE ${this.#id} IS NOT NULL${after === null ? '' : ` AND ${order} > ${bound}`}
        ORDER BY ${order} LIMIT $1::bigint`,
      after === null ? [limit] : [limit, value],
    );
    return rows.map(({ id }) => id);
  }

  /**
   * Which of some ids are there. The ids may be any texts: they are compared as bytes, since a text that is no value of
   * the column's type, or that SIIRAyS's encoding lacks, would be an error.
   */
  async present(ids: readonly string[]): Promise<string[]> {
    const { rows } = await this.#client.query<{ id: string }>(
      `SELECT ${this.#id}::text AS id FROM ${this.#relation} AS t
         JOIN (SELECT decode(given, 'hex') AS bytes FROM unnest($1::text[]) AS given) AS g
           ON ${bytesOf(this.#id)} = g.bytes`,
      [textArray(ids.map((id) => Buffer.from(id).toString('hex')))],
    );
    return rows.map(({ id }) => id);
  }

  /** About how many roots there are, by the server's statistics; 0 where it has none. */
  async estimate(): Promise<number> {
    const { rows } = await this.#client.query<{ count: string }>(
      'SELECT greatest(reltuples, 0)::bigint::text AS count FROM pg_class WHERE oid = $1::regclass',
      [this.#relation],
    );
    return Number(rows[0]!.count);
  }
}

function bytesOf(sql: string): string {
  return `convert_to(${sql}::text, 'UTF8')`;
}
