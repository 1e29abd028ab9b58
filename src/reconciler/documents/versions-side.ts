import type pg from 'pg';
import type { CompiledConnector, Placement } from '../../connector/compiled.ts';
import { loadVersions } from '../../consumer/delivery/epoch.ts';
import type { FastaapsClient } from '../../fastaaps/client.ts';
import { type DocumentState, type StateRow, stateOf, stateSql, stateValues } from './document-state.ts';
import type { FastaapsSide, Theirs } from './fastaaps-side.ts';
import type { IdRange } from './id-source.ts';
import type { Json } from './json-tree.ts';

/**
 * FASTAAPS's version and etag against those that it acknowledged. Where it acknowledged a deletion, nothing and any
 * tombstone are equal; where it acknowledged the newest version and that is a document, one has to be there.
 */
const DIFFERS = `CASE
  WHEN d.etag IS NULL AND t.etag IS NULL
    THEN NOT d.deleted AND (d.accepted_epoch, d.accepted_version) = (d.epoch, d.version)
  ELSE (d.accepted_epoch, d.accepted_version::numeric, d.etag)
    IS DISTINCT FROM (t.epoch::integer, t.version::numeric, t.etag) END`;

/** FASTAAPS by GET versions (adapter `changes`): no document leaves either side. */
export class VersionsSide implements FastaapsSide {
  readonly relation = 'pg_temp.fastaaps_version';
  readonly columns = ['epoch', 'version', 'etag'];
  readonly #connector: CompiledConnector;
  readonly #syncSchema: string;
  readonly #fastaaps: FastaapsClient;

  constructor(connector: CompiledConnector, syncSchema: string, fastaaps: FastaapsClient) {
    this.#connector = connector;
    this.#syncSchema = syncSchema;
    this.#fastaaps = fastaaps;
  }

  load(client: pg.ClientBase, signal: AbortSignal): Promise<void> {
    return loadVersions(client, this.#fastaaps.getVersions(this.#connector.target, { signal }));
  }

  async of(ids: ReadonlySet<string>): Promise<Map<string, Theirs>> {
    const found = new Map<string, Theirs>();
    for await (const { id, epoch, version, etag } of this.#fastaaps.getVersions(this.#connector.target)) {
      if (ids.has(id)) found.set(id, [String(epoch), version, etag]);
    }
    return found;
  }

  async compare(client: pg.ClientBase, placement: Placement, range: IdRange): Promise<DocumentState[]> {
    const state = stateSql({
      connector: this.#connector,
      placement,
      syncSchema: this.#syncSchema,
      side: this,
      differs: DIFFERS,
    });
    const { rows } = await client.query<StateRow>(
      `SELECT * FROM (${state}) AS state WHERE kind IS NOT NULL OR pending OR set_aside`,
      stateValues(range, this),
    );
    return rows.map(stateOf);
  }

  comparable(document: Json): Json {
    return document;
  }
}
