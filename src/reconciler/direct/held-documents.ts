import type pg from 'pg';
import { loadVersions } from '../../consumer/delivery/epoch.ts';
import { textArray } from '../../consumer/text-array.ts';
import type { FastaapsClient } from '../../fastaaps/client.ts';
import type { DocumentVersion, FastaapsTarget } from '../../fastaaps/types.ts';
import { disconnect } from '../../postgres/session.ts';
import { portions } from '../documents/portions.ts';
import type { Seen } from './direct-candidate.ts';
import type { Given, GivenText, Held, SeenText } from './direct-side.ts';
import { documentHash, textHash } from './document-hash.ts';
import { scratchSession } from './scratch-session.ts';

/** Up to so many documents are asked for one by one; for more the whole set is read ... */
const FEW = 200;
/** ... unless they are less than this share of it: a question for one costs about as much as so many of a set. */
const SHARE = 50;
/** Documents asked for at the same time. */
const AT_ONCE = 8;
/** Ids in one question for those that are missing. */
const PORTION_IDS = 1_000;

/** `document` is NULL where only hashes are wanted. Texts that jsonb cannot hold are taken as they are. */
const SCRATCH = `
CREATE TEMPORARY TABLE held_document (id text, hash text, document text);
CREATE FUNCTION pg_temp.read_document(given text, path text[], OUT id text, OUT hash text) LANGUAGE plpgsql AS $$
DECLARE
  content jsonb;
BEGIN
  content := given::jsonb;
  id := content #>> path;
  hash := ${documentHash('content')};
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
  id := given::json #>> path;
  hash := ${textHash('given')};
END $$;
CREATE FUNCTION pg_temp.same_value(a text, b text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  RETURN a::jsonb = b::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
  RETURN a = b;
END $$`;

/** What FASTAAPS has for a document (v, d) as columns of Seen. */
const HELD = `CASE WHEN v.etag IS NOT NULL THEN coalesce(d.hash, '') END`;
const VERSION = 'v.epoch::text AS epoch, v.version::text AS version';

export interface HeldOptions {
  /** A database for temporary tables; nothing else of it is used. */
  syncUrl: string;
  fastaaps: FastaapsClient;
  target: FastaapsTarget;
  /** Where a document states its id; null: it does not, and each is asked for by its id. */
  idPath: readonly string[] | null;
  signal: AbortSignal;
}

/**
 * What FASTAAPS holds, read once into temporary tables of a session of its own: the memory here does not grow with the
 * set. Ids and versions are those that the service names; the documents of the set are matched by the id that they state.
 */
export class HeldDocuments implements Held {
  readonly #options: HeldOptions;
  readonly #client: pg.Client;

  private constructor(options: HeldOptions, client: pg.Client) {
    this.#options = options;
    this.#client = client;
  }

  /**
   * Reads versions and documents.
   * @param ids only these documents; null: all
   * @param texts whether the documents themselves are kept too, for `differingTexts`
   */
  static async read(options: HeldOptions, ids: readonly string[] | null, texts: boolean): Promise<HeldDocuments> {
    const client = await scratchSession(options.syncUrl);
    const held = new HeldDocuments(options, client);
    try {
      await client.query(SCRATCH);
      const count = await held.#readVersions(ids);
      await held.#readDocuments(ids, ids !== null && ids.length <= Math.max(FEW, count / SHARE), texts);
      return held;
    } catch (error) {
      await held.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await disconnect(this.#client);
  }

  /** How many documents FASTAAPS has of those that were asked for. */
  async count(): Promise<number> {
    const { rows } = await this.#client.query<{ count: string }>(
      'SELECT count(*)::text AS count FROM pg_temp.fastaaps_version WHERE etag IS NOT NULL',
    );
    return Number(rows[0]!.count);
  }

  /** Those of SIIRAyS's documents whose hash is not that of FASTAAPS's. They are taken out of what `remaining` gives. */
  async differing(given: readonly Given[]): Promise<Seen[]> {
    const { rows } = await this.#client.query<Seen>(
      `WITH given AS MATERIALIZED (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS g (id, hash, problem)),
       v AS (DELETE FROM pg_temp.fastaaps_version AS v USING given AS g WHERE v.id = g.id RETURNING v.*)
       SELECT g.id, g.hash, g.problem, ${HELD} AS held, ${VERSION}
         FROM given AS g LEFT JOIN v ON v.id = g.id LEFT JOIN pg_temp.held_document AS d ON d.id = v.id
        WHERE g.hash IS DISTINCT FROM ${HELD}`,
      [
        textArray(given.map(({ id }) => id)),
        textArray(given.map(({ hash }) => hash)),
        textArray(given.map(({ problem }) => problem)),
      ],
    );
    return rows;
  }

  async known(ids: readonly string[]): Promise<string[]> {
    const { rows } = await this.#client.query<{ id: string }>(
      'SELECT id FROM pg_temp.fastaaps_version WHERE id = ANY ($1::text[])',
      [textArray(ids)],
    );
    return rows.map(({ id }) => id);
  }

  /** Documents of FASTAAPS that no call of `differing` named, by their ids' bytes. */
  async remaining(after: string | null, limit: number): Promise<Seen[]> {
    const { rows } = await this.#client.query<Seen>(
      `SELECT v.id, NULL AS hash, NULL AS problem, ${HELD} AS held, ${VERSION}
         FROM pg_temp.fastaaps_version AS v LEFT JOIN pg_temp.held_document AS d ON d.id = v.id
        WHERE v.etag IS NOT NULL AND ($1::text IS NULL OR v.id COLLATE "C" > $1)
        ORDER BY v.id COLLATE "C" LIMIT $2::bigint`,
      [after, limit],
    );
    return rows;
  }

  /** Those of SIIRAyS's documents that are not equal by value to FASTAAPS's: for numbers 2.50 is 2.5. */
  async differingTexts(given: readonly GivenText[]): Promise<SeenText[]> {
    const { rows } = await this.#client.query<SeenText>(
      `SELECT g.id, g.hash, g.problem, ${HELD} AS held, ${VERSION}, d.document
         FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS g (id, hash, problem, body)
         LEFT JOIN pg_temp.fastaaps_version AS v ON v.id = g.id
         LEFT JOIN pg_temp.held_document AS d ON d.id = v.id AND v.etag IS NOT NULL
        WHERE (g.body IS NOT NULL OR v.etag IS NOT NULL) AND pg_temp.same_value(g.body, d.document) IS NOT TRUE`,
      [
        textArray(given.map(({ id }) => id)),
        textArray(given.map(({ hash }) => hash)),
        textArray(given.map(({ problem }) => problem)),
        textArray(given.map(({ body }) => body)),
      ],
    );
    return rows;
  }

  /** @returns how many FASTAAPS holds in all */
  async #readVersions(ids: readonly string[] | null): Promise<number> {
    const { fastaaps, target, signal } = this.#options;
    const wanted = ids && new Set(ids);
    let count = 0;
    async function* ofWanted(versions: AsyncIterable<DocumentVersion>): AsyncGenerator<DocumentVersion> {
      for await (const version of versions) {
        count += 1;
        if (wanted === null || wanted.has(version.id)) yield version;
      }
    }
    await loadVersions(this.#client, ofWanted(fastaaps.getVersions(target, { signal })));
    await this.#client.query(
      'CREATE INDEX ON pg_temp.fastaaps_version (id COLLATE "C"); ANALYZE pg_temp.fastaaps_version',
    );
    return count;
  }

  /** @param oneByOne whether only those are asked for that the versions name */
  async #readDocuments(ids: readonly string[] | null, oneByOne: boolean, texts: boolean): Promise<void> {
    const { fastaaps, target, idPath, signal } = this.#options;
    if (idPath !== null && !oneByOne) {
      const { documents } = await fastaaps.getSet(target, { signal });
      // One portion is stored while the next one comes.
      let storing = Promise.resolve();
      for await (const portion of portions(documents, (text) => text.length)) {
        await storing;
        storing = this.#store(portion, new Array<null>(portion.length).fill(null), ids, texts);
        storing.catch(() => undefined);
      }
      await storing;
      // Documents that state one id: which of them has it is asked below.
      await this.#client.query(
        `DELETE FROM pg_temp.held_document WHERE id IS NULL
           OR id IN (SELECT id FROM pg_temp.held_document GROUP BY id HAVING count(*) > 1);
         CREATE INDEX ON pg_temp.held_document (id); ANALYZE pg_temp.held_document`,
      );
    }
    await this.#readMissing(texts);
    await this.#client.query('ANALYZE pg_temp.held_document');
  }

  /** Asks for the documents that FASTAAPS names in its versions, and that are not here yet, one by one. */
  async #readMissing(texts: boolean): Promise<void> {
    let after: string | null = null;
    for (;;) {
      const { rows }: pg.QueryResult<{ id: string }> = await this.#client.query(
        `SELECT v.id FROM pg_temp.fastaaps_version AS v
          WHERE v.etag IS NOT NULL AND ($1::text IS NULL OR v.id COLLATE "C" > $1)
            AND NOT EXISTS (SELECT FROM pg_temp.held_document AS d WHERE d.id = v.id)
          ORDER BY v.id COLLATE "C" LIMIT $2::bigint`,
        [after, PORTION_IDS],
      );
      if (rows.length === 0) return;
      const ids = rows.map(({ id }) => id);
      after = ids.at(-1)!;
      for await (const portion of portions(this.#asked(ids), ({ text }) => text.length)) {
        const known = portion.map(({ id }) => id);
        await this.#store(
          portion.map(({ text }) => text),
          known,
          null,
          texts,
        );
      }
    }
  }

  async *#asked(ids: readonly string[]): AsyncGenerator<{ id: string; text: string }> {
    const { fastaaps, target, signal } = this.#options;
    for (let from = 0; from < ids.length; from += AT_ONCE) {
      const some = ids.slice(from, from + AT_ONCE);
      const documents = await Promise.all(some.map((id) => fastaaps.getDocument(target, id, { signal })));
      for (const [at, text] of documents.entries()) if (text !== null) yield { id: some[at]!, text };
    }
  }

  /**
   * @param known the documents' ids; null where a document states its own
   * @param wanted only documents with these ids; null: all
   */
  async #store(
    documents: readonly string[],
    known: readonly (string | null)[],
    wanted: readonly string[] | null,
    texts: boolean,
  ): Promise<void> {
    await this.#client.query(
      `INSERT INTO pg_temp.held_document (id, hash, document)
       SELECT coalesce(g.id, r.id), r.hash, CASE WHEN $4::boolean THEN g.document END
         FROM unnest($1::text[], $2::text[]) AS g (document, id)
        CROSS JOIN LATERAL pg_temp.read_document(g.document, $3::text[]) AS r
        WHERE $5::text[] IS NULL OR coalesce(g.id, r.id) = ANY ($5::text[])`,
      [
        textArray(documents),
        textArray(known),
        textArray(this.#options.idPath ?? []),
        texts,
        wanted === null ? null : textArray(wanted),
      ],
    );
  }
}
