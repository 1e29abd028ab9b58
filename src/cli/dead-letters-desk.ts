import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { CompiledConnector } from '../connector/compiled.ts';
import { connectorSchemas } from '../consumer/replica-names.ts';
import { withConnection } from '../postgres/borrowed-connection.ts';
import { quoteIdentifier } from '../postgres/identifier.ts';
import { migrate } from '../postgres/migrate.ts';
import { startupOptions, VALUE_SETTINGS } from '../postgres/session.ts';
import { ofPresent } from '../reconciler/http/chosen-connector.ts';
import {
  type DeadLetter,
  type DeadLetterFilter,
  type DeadLetterPage,
  discardDeadLetter,
  listDeadLetters,
  readDeadLetter,
  replayAll,
  replayOne,
} from '../reconciler/http/dead-letter-store.ts';
import { readSourceRows, type SourceRow } from '../reconciler/http/source-rows.ts';
import { AuditTrail } from '../reconciler/runs/audit-trail.ts';
import { inTransaction } from '../reconciler/runs/transaction.ts';
import { userName } from './user-name.ts';

const AUDIT_SCHEMA = 'reconciler';
const AUDIT_MIGRATIONS = join(import.meta.dirname, '../reconciler/migrations');
/** Who is at a terminal may do everything. */
const ROLE = 'cli';
const LOOK_MS = 200;
/** Letters whose outcome is waited for. */
const WATCHED = 10_000;

/** The dead letters of one connector. */
export interface LetterList {
  connector: string;
  deadLetters: DeadLetter[];
  /** Whether there are more. */
  more: boolean;
}

export type LetterWithRows = DeadLetter & { connector: string; rows: SourceRow[] | null };

export interface Replayed {
  replayed: number;
  /** As they were before, to be waited for. */
  letters: DeadLetter[];
  /** Ids of which there is no dead letter. */
  missing: string[];
}

/** What became of replayed letters. */
export interface Outcome {
  /** Ids of documents that FASTAAPS has taken. */
  taken: string[];
  /** Refused again. */
  refused: DeadLetter[];
  /** Ids of which it was not known in time. */
  open: string[];
}

/** What the commands do: the same store and audit as the HTTP API's. */
export class DeadLettersDesk {
  readonly #pool: pg.Pool;
  readonly #connectors: readonly CompiledConnector[];
  readonly #audit: AuditTrail;
  #prepared = false;

  /** @param connectors those that are meant */
  constructor(pool: pg.Pool, connectors: readonly CompiledConnector[]) {
    this.#pool = pool;
    this.#connectors = connectors;
    this.#audit = new AuditTrail(pool, AUDIT_SCHEMA);
  }

  /** Name of the connector, where one is meant. */
  get connector(): string {
    return this.#one().name;
  }

  async list(page: DeadLetterPage): Promise<LetterList[]> {
    const lists: LetterList[] = [];
    for (const connector of this.#connectors) {
      const { deadLetters, next } = await ofPresent(connector, () => listDeadLetters(this.#pool, connector.name, page));
      lists.push({ connector: connector.name, deadLetters, more: next !== null });
    }
    return lists;
  }

  async show(id: string): Promise<LetterWithRows | null> {
    const connector = this.#one();
    const letter = await ofPresent(connector, () => readDeadLetter(this.#pool, connector.name, id));
    if (letter === null) return null;
    const rows = await readSourceRows(this.#pool, connector, id, letter.path);
    return { connector: connector.name, ...letter, rows };
  }

  async replay(ids: readonly string[]): Promise<Replayed> {
    const { name } = this.#one();
    const letters = await this.#letters({ ids });
    const found = letters.map(({ id }) => id);
    let replayed = 0;
    for (const id of found) {
      if (await this.#audited('dead-letter.replay', id, (client) => replayOne(client, name, id), Boolean)) replayed++;
    }
    return { replayed, letters, missing: ids.filter((id) => !found.includes(id)) };
  }

  async replayAll(filter: DeadLetterFilter): Promise<Replayed> {
    const { name } = this.#one();
    const letters = await this.#letters({ discarded: false, ...filter });
    await this.#prepareAudit();
    // Before it is done, which takes several transactions: nothing is replayed without an entry.
    await this.#audit.add(userName(), ROLE, 'dead-letter.replay-all', name, { letters: letters.length, ...filter });
    return { replayed: await replayAll(this.#pool, name, filter), letters, missing: [] };
  }

  async discard(ids: readonly string[]): Promise<{ deadLetters: DeadLetter[]; missing: string[] }> {
    const { name } = this.#one();
    // Of a connector that never ran there is nothing to set aside, which is said so.
    await this.#letters({ ids });
    const deadLetters: DeadLetter[] = [];
    for (const id of ids) {
      const discard = (client: pg.ClientBase) => discardDeadLetter(client, name, id, userName());
      const found = await this.#audited('dead-letter.discard', id, discard, (done) => done?.changed === true);
      if (found !== null) deadLetters.push(found.deadLetter);
    }
    const missing = ids.filter((id) => !deadLetters.some((letter) => letter.id === id));
    return { deadLetters, missing };
  }

  /** Waits until each of the letters is superseded by a version that FASTAAPS took, or by another letter. */
  async outcome(letters: readonly DeadLetter[], withinMs: number): Promise<Outcome> {
    const s = quoteIdentifier(connectorSchemas(this.connector).sync);
    const deadline = performance.now() + withinMs;
    const before = new Map(letters.map((letter) => [letter.id, letter]));
    const taken: string[] = [];
    const refused: DeadLetter[] = [];
    for (;;) {
      const ids = [...before.keys()];
      for (const letter of await this.#letters({ ids })) {
        if (sameVersion(letter, before.get(letter.id)!)) continue;
        refused.push(letter);
        before.delete(letter.id);
      }
      const { rows } = await this.#pool.query<{ id: string }>(
        `SELECT d.id FROM ${s}.document AS d WHERE d.id = ANY ($1) AND (d.accepted_epoch, d.accepted_version) = (d.epoch, d.version)
           AND NOT EXISTS (SELECT FROM ${s}.dead_letter AS l WHERE l.id = d.id)
           AND NOT EXISTS (SELECT FROM ${s}.mark AS m WHERE m.id = d.id)`,
        [[...before.keys()]],
      );
      for (const { id } of rows) if (before.delete(id)) taken.push(id);
      if (before.size === 0 || performance.now() >= deadline) return { taken, refused, open: [...before.keys()] };
      await sleep(LOOK_MS);
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #letters(filter: DeadLetterFilter): Promise<DeadLetter[]> {
    const connector = this.#one();
    const page = { ...filter, limit: WATCHED };
    return (await ofPresent(connector, () => listDeadLetters(this.#pool, connector.name, page))).deadLetters;
  }

  /** Does something in one transaction with its entry in the audit. */
  async #audited<T>(
    action: string,
    id: string,
    work: (client: pg.ClientBase) => Promise<T>,
    happened: (result: T) => boolean,
  ): Promise<T> {
    await this.#prepareAudit();
    return inTransaction(this.#pool, async (client) => {
      const result = await work(client);
      const object = `${this.connector}/${id}`;
      if (happened(result)) await this.#audit.add(userName(), ROLE, action, object, {}, client);
      return result;
    });
  }

  /** Its tables are the reconciler's, which may never have run. */
  async #prepareAudit(): Promise<void> {
    if (this.#prepared) return;
    await withConnection(this.#pool, (client) => migrate(client, AUDIT_MIGRATIONS, AUDIT_SCHEMA));
    this.#prepared = true;
  }

  #one(): CompiledConnector {
    return this.#connectors[0]!;
  }
}

/** @param connectors those that are meant */
export function openDeadLetters(syncUrl: string, connectors: readonly CompiledConnector[]): DeadLettersDesk {
  const pool = new pg.Pool({
    connectionString: syncUrl,
    application_name: 'siirays-sync dead-letters',
    options: startupOptions(VALUE_SETTINGS),
    connectionTimeoutMillis: 10_000,
    max: 1,
  });
  // The end of an idle connection shows at its next use.
  pool.on('error', () => undefined);
  return new DeadLettersDesk(pool, connectors);
}

function sameVersion(a: DeadLetter, b: DeadLetter): boolean {
  return a.epoch === b.epoch && a.version === b.version;
}
