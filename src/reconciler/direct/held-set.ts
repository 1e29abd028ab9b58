import type pg from 'pg';
import { textArray } from '../../consumer/text-array.ts';
import { disconnect } from '../../postgres/session.ts';
import type { FastaapsSet } from '../documents/fastaaps-set.ts';
import type { Seen } from './direct-candidate.ts';
import type { Given, GivenText, Held, SeenText } from './direct-side.ts';
import { scratchSession } from './scratch-session.ts';

/** An id that comes more than once gets a hash that no document has. `document` is a JSON array of all that have the id. */
const SCRATCH = `
CREATE TEMPORARY TABLE held_set AS
SELECT id, string_agg(hash, '+' ORDER BY hash) AS hash,
       '[' || string_agg(document, ',' ORDER BY hash) || ']' AS document
  FROM pg_temp.fastaaps_document GROUP BY id;
DROP TABLE pg_temp.fastaaps_document;
CREATE INDEX ON pg_temp.held_set (id COLLATE "C");
CREATE INDEX ON pg_temp.held_set (id);
ANALYZE pg_temp.held_set`;

/** Today's service has no versions. */
const NO_VERSION = 'NULL AS epoch, NULL AS version';

/** FASTAAPS's set of documents without versions, read once into a temporary table of a session of its own. */
export class HeldSet implements Held {
  readonly #client: pg.Client;

  private constructor(client: pg.Client) {
    this.#client = client;
  }

  /**
   * @param syncUrl a database for temporary tables; nothing else of it is used
   * @param ids only these documents; null: all
   * @param texts whether the documents themselves are kept too, for `differingTexts`
   */
  static async read(
    syncUrl: string,
    set: FastaapsSet,
    ids: readonly string[] | null,
    texts: boolean,
    signal: AbortSignal,
  ): Promise<HeldSet> {
    const client = await scratchSession(syncUrl);
    const held = new HeldSet(client);
    try {
      await set.load(client, ids && new Set(ids), texts, signal);
      await client.query(SCRATCH);
      return held;
    } catch (error) {
      await held.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await disconnect(this.#client);
  }

  async count(): Promise<number> {
    const { rows } = await this.#client.query<{ count: string }>(
      'SELECT count(*)::text AS count FROM pg_temp.held_set',
    );
    return Number(rows[0]!.count);
  }

  async known(ids: readonly string[]): Promise<string[]> {
    const { rows } = await this.#client.query<{ id: string }>(
      'SELECT id FROM pg_temp.held_set WHERE id = ANY ($1::text[])',
      [textArray(ids)],
    );
    return rows.map(({ id }) => id);
  }

  differing(given: readonly Given[]): Promise<Seen[]> {
    return this.differingTexts(given);
  }

  async remaining(after: string | null, limit: number): Promise<Seen[]> {
    const { rows } = await this.#client.query<Seen>(
      `SELECT id, NULL AS hash, NULL AS problem, hash AS held, ${NO_VERSION} FROM pg_temp.held_set
        WHERE $1::text IS NULL OR id COLLATE "C" > $1 ORDER BY id COLLATE "C" LIMIT $2::bigint`,
      [after, limit],
    );
    return rows;
  }

  /** `document` is a JSON array of one document, or of several that state the id. */
  async differingTexts(given: readonly (Given | GivenText)[]): Promise<SeenText[]> {
    const { rows } = await this.#client.query<SeenText>(
      `WITH given AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS g (id, hash, problem)),
       h AS (DELETE FROM pg_temp.held_set AS h USING given AS g WHERE h.id = g.id RETURNING h.*)
       SELECT g.id, g.hash, g.problem, h.hash AS held, ${NO_VERSION}, h.document
         FROM given AS g LEFT JOIN h ON h.id = g.id WHERE g.hash IS DISTINCT FROM h.hash`,
      [
        textArray(given.map(({ id }) => id)),
        textArray(given.map(({ hash }) => hash)),
        textArray(given.map(({ problem }) => problem)),
      ],
    );
    return rows;
  }
}
