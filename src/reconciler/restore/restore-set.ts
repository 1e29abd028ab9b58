import type pg from 'pg';
import type { CompiledConnector } from '../../connector/compiled.ts';
import { textArray } from '../../consumer/text-array.ts';
import type { FastaapsClient } from '../../fastaaps/client.ts';
import { FastaapsError, type RefusedDocument } from '../../fastaaps/errors.ts';
import { cursorRows } from '../../postgres/cursor-rows.ts';
import { quoteRelation } from '../../postgres/identifier.ts';
import { connect, disconnect, SOURCE_SETTINGS, setLocal, TEXT_VALUES } from '../../postgres/session.ts';
import { SiiraysRoots } from '../direct/siirays-roots.ts';

export interface RestoreOptions {
  connector: CompiledConnector;
  /** SIIRAyS, or the PgBouncer before it: one transaction, for as long as FASTAAPS takes. */
  url: string;
  /** Longest wait for the tables' locks. */
  lockTimeoutMs: number;
  fastaaps: FastaapsClient;
  /** The db_tag that is replaced. */
  target: string;
  /** Documents sent so far. */
  onProgress(documents: number): void;
  signal: AbortSignal;
  /** Documents that are computed at once. */
  rangeDocuments?: number;
}

export interface RestoredSet {
  documents: number;
  /** Of the set as it was sent. */
  bytes: number;
  /** SIIRAyS's position (X/Y) right after the snapshot was taken: every commit that the set shows lies below it. */
  lsn: string;
  /** Documents that lack a required field, with the fields' paths: no set may hold them. The first LEFT_OUT_KEPT. */
  leftOut: { id: string; problems: string[] }[];
  /** How many were left out in all. */
  leftOutCount: number;
}

interface Row {
  id: string;
  body: string;
  /** A JSON array of paths; null: nothing is missing. */
  problems: string | null;
}

export const LEFT_OUT_KEPT = 1_000;
/** Each range reads SIIRAyS's tables whole, since they have no indexes for sections: few ranges, fetched bit by bit. */
const RANGE_DOCUMENTS = 5_000;
const PROGRESS_DOCUMENTS = 500;

/**
 * What the transaction sets beside the values' settings. It waits while FASTAAPS takes documents; a reader that hangs must
 * not hold back SIIRAyS's vacuum for ever.
 */
const READING = { row_security: 'off', idle_in_transaction_session_timeout: '30min', jit: 'off' };

/**
 * Whether a set may be replaced whole. The set that a connector keeps equal through changes may not: the service would
 * forget its versions and position, and readers would see commits go backwards.
 * @param connectors all there are: nor may another one's set be replaced
 * @throws Error that says what can be done instead
 */
export function assertRestorable(
  connector: CompiledConnector,
  target: string,
  connectors: readonly CompiledConnector[] = [connector],
): void {
  const path = plainPath(connector);
  const owner = [connector, ...connectors].find((one) => plainPath(one) === path && one.target.tag === target);
  if (owner === undefined) return;
  if (owner.name !== connector.name) {
    throw new Error(`${path} with db_tag=${target} is the set of connector ${owner.name}: choose another target`);
  }
  if (owner.target.adapter !== 'restore') {
    throw new Error(
      `${path} with db_tag=${target} is the live set of connector ${owner.name}, which its consumer keeps equal to SIIRAyS: choose another target, such as backup, or repair it instead`,
    );
  }
}

function plainPath({ target }: CompiledConnector): string {
  return `/${target.path.replace(/^\/+|\/+$/g, '')}`;
}

/**
 * Replaces a set of FASTAAPS by all documents of one snapshot of SIIRAyS. Documents stream from the one to the other, only
 * as fast as FASTAAPS takes them; SIIRAyS's tables are locked against ALTER TABLE and TRUNCATE meanwhile.
 * @throws where `assertRestorable` does; FastaapsError, of kind `refused` where FASTAAPS does not take a document: what was
 * there stays; PostgreSQL's errors; the signal's reason
 */
export async function restoreSet(options: RestoreOptions): Promise<RestoredSet> {
  const { connector, url, fastaaps, target, signal } = options;
  assertRestorable(connector, target);
  signal.throwIfAborted();
  const client = await connect({
    connectionString: url,
    application_name: 'siirays-sync restore',
    types: TEXT_VALUES,
  });
  // A statement under way ends with its connection.
  const abort = (): void => void disconnect(client);
  signal.addEventListener('abort', abort);
  try {
    const lsn = await begin(client, options);
    const set = new SnapshotSet(client, options);
    const { documents, bytes } = await fastaaps.restoreSet(
      { path: connector.target.path, tag: target },
      set.documents(),
      {
        signal,
      },
    );
    options.onProgress(documents);
    return { documents, bytes, lsn, leftOut: set.leftOut, leftOutCount: set.leftOutCount };
  } catch (error) {
    signal.throwIfAborted();
    throw explained(error, target);
  } finally {
    signal.removeEventListener('abort', abort);
    await disconnect(client);
  }
}

/** Locks first: a table that is rewritten between snapshot and lock would look empty. */
async function begin(client: pg.Client, { connector, lockTimeoutMs }: RestoreOptions): Promise<string> {
  const settings = setLocal({ ...SOURCE_SETTINGS, ...READING, lock_timeout: `${lockTimeoutMs}` });
  const tables = connector.tables.map(({ schema, table }) => quoteRelation(schema, table)).join(', ');
  await client.query(
    `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${settings}; LOCK TABLE ${tables} IN ACCESS SHARE MODE`,
  );
  const { rows } = await client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
  return rows[0]!.lsn;
}

/** All documents of the open snapshot that a set may hold. */
class SnapshotSet {
  readonly leftOut: { id: string; problems: string[] }[] = [];
  leftOutCount = 0;
  readonly #client: pg.Client;
  readonly #options: RestoreOptions;

  constructor(client: pg.Client, options: RestoreOptions) {
    this.#client = client;
    this.#options = options;
  }

  async *documents(): AsyncGenerator<{ id: string; text: string }> {
    const { connector, rangeDocuments = RANGE_DOCUMENTS, onProgress } = this.#options;
    const roots = await SiiraysRoots.read(this.#client, connector);
    const projection = connector.projection(roots.placement, '(SELECT unnest($1::text[]) AS id)');
    const sql = `SELECT p.id, p.body, to_json(p.problems)::text AS problems FROM (${projection}) AS p`;
    let sent = 0;
    let after: string | null = null;
    for (;;) {
      const ids: string[] = await roots.following(after, rangeDocuments);
      if (ids.length === 0) return;
      after = ids.at(-1)!;
      for await (const { id, body, problems } of cursorRows<Row>(this.#client, sql, [textArray(ids)], bodyLength)) {
        if (problems !== null) {
          this.#leaveOut(id, problems);
          continue;
        }
        yield { id, text: body };
        sent += 1;
        if (sent % PROGRESS_DOCUMENTS === 0) onProgress(sent);
      }
    }
  }

  #leaveOut(id: string, problems: string): void {
    this.leftOutCount += 1;
    if (this.leftOut.length < LEFT_OUT_KEPT) this.leftOut.push({ id, problems: JSON.parse(problems) as string[] });
  }
}

function bodyLength({ body }: Row): number {
  return body.length;
}

/** Says which documents were refused; other errors as they are. */
function explained(error: unknown, target: string): unknown {
  if (!(error instanceof FastaapsError) || error.kind !== 'refused') return error;
  const [first] = error.refused;
  const more = error.refused.length > 1 ? ` (and ${error.refused.length - 1} more)` : '';
  return new FastaapsError('refused', `FASTAAPS refuses ${named(first!)}${more}: db_tag=${target} was not replaced`, {
    status: error.status,
    refused: [...error.refused],
    cause: error,
  });
}

function named({ id, path, reason }: RefusedDocument): string {
  return `document ${id}${path === '' ? '' : ` at ${path}`}: ${reason}`;
}
