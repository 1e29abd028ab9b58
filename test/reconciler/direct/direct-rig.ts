import { randomBytes } from 'node:crypto';
import { after } from 'node:test';
import type pg from 'pg';
import { modelsOf } from '../../../embedded/fastaaps/model.ts';
import type { CompiledConnector } from '../../../src/connector/compiled.ts';
import type { FastaapsClient } from '../../../src/fastaaps/client.ts';
import { connect, disconnect } from '../../../src/postgres/session.ts';
import type { DirectCandidate } from '../../../src/reconciler/direct/direct-candidate.ts';
import { DirectComparison } from '../../../src/reconciler/direct/direct-comparison.ts';
import type { DirectDocuments, DirectOptions } from '../../../src/reconciler/direct/direct-documents.ts';
import { DirectSetComparison } from '../../../src/reconciler/direct/direct-set-comparison.ts';
import { SiiraysReader } from '../../../src/reconciler/siirays-reader.ts';
import { SiiraysDatabase } from '../../connector/siirays-database.ts';
import { clientOf, header, startReference } from '../../fastaaps/reference.ts';
import { testDatabase } from '../../support/postgres.ts';

/** SIIRAyS, a FASTAAPS that holds its documents, and the database `sync`, which is empty. */
export interface DirectRig {
  siirays: SiiraysDatabase;
  siiraysUrl: string;
  connector: CompiledConnector;
  fastaaps: FastaapsClient;
  /** FASTAAPS's own database, behind its service's back. */
  stored: pg.Client;
  /** Ids that were asked to be sent again. */
  marked: string[];
  warnings: string[];
  /** Sessions of comparisons in `sync`. */
  sessions(): Promise<number>;
  comparison(options?: Partial<DirectOptions>): DirectDocuments;
  /** Sends SIIRAyS's documents of some ids (default: all that lack nothing), as a changeset or as the whole set. */
  send(ids?: readonly string[]): Promise<void>;
}

export interface RigOptions {
  siiraysUrl: string;
  /** DDL of SIIRAyS; default: its own. */
  schema?: string;
  /** With the adapter `restore` FASTAAPS is as today. */
  connector(siirays: SiiraysDatabase): CompiledConnector;
  fill(siirays: SiiraysDatabase): Promise<unknown>;
}

export async function directRig({ siiraysUrl, schema, connector: make, fill }: RigOptions): Promise<DirectRig> {
  const siirays = await SiiraysDatabase.create(siiraysUrl, schema);
  after(() => siirays.close());
  await fill(siirays);
  const connector = make(siirays);
  const syncUrl = (await testDatabase()).url;
  const sync = await connect({ connectionString: syncUrl });
  after(() => disconnect(sync));
  const likeToday = connector.target.adapter === 'restore';
  const service = await startReference({ models: modelsOf([connector]), likeToday });
  const stored = await connect({ connectionString: service.databaseUrl });
  after(() => disconnect(stored));
  const fastaaps = clientOf(service.url);
  const reader = new SiiraysReader({
    url: siiraysUrl,
    lockTimeoutMs: 5_000,
    share: 1,
    signal: new AbortController().signal,
  });
  after(() => reader.close());
  let version = 0;
  const rig: DirectRig = {
    ...{ siirays, siiraysUrl, connector, fastaaps, stored },
    marked: [],
    warnings: [],
    async sessions() {
      const { rows } = await sync.query<{ n: string }>(
        `SELECT count(*) AS n FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'siirays-sync reconciler'`,
      );
      return Number(rows[0]!.n);
    },
    comparison(options = {}) {
      const Direct = likeToday ? DirectSetComparison : DirectComparison;
      const comparison = new Direct({
        ...{ connector, siirays: reader, syncUrl, fastaaps, ids: null, rangeMs: 500 },
        markForced: async (ids) => {
          rig.marked.push(...ids);
          return [];
        },
        onWarning: (text, passedOver) => void rig.warnings.push(`${text}${passedOver ? ' (passed over)' : ''}`),
        ...options,
      });
      after(() => comparison.close());
      return comparison;
    },
    async send(ids) {
      const documents = await siirays.project(connector, ids ?? (await siirays.allRoots(connector)));
      const whole = documents.filter(({ problems }) => problems === null);
      if (likeToday) {
        const texts = whole.filter(({ body }) => body !== null).map(({ id, body }) => ({ id, text: body! }));
        await fastaaps.restoreSet(connector.target, each(texts));
        return;
      }
      const lines: string[] = [];
      for (const { id, body } of whole) {
        version += 1;
        const token = connector.root.idType === 'integer' ? id : JSON.stringify(id);
        const change = body === null ? '"op":"delete"' : `"op":"upsert","document":${body}`;
        lines.push(`{"id":${token},"version":"${version}",${change}}\n`);
      }
      await fastaaps.postChanges(connector.target, header(version), each(lines));
    },
  };
  await rig.send();
  return rig;
}

/** A database of another encoding and collation. */
export async function otherDatabase(options: string): Promise<string> {
  const { server } = await testDatabase();
  const name = `test_${randomBytes(6).toString('hex')}`;
  const admin = await connect({ connectionString: server.url() });
  await admin.query(`CREATE DATABASE ${name} TEMPLATE template0 ${options}`);
  after(async () => {
    await admin.query(`DROP DATABASE ${name} WITH (FORCE)`);
    await disconnect(admin);
  });
  return server.url(name);
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

export interface Scanned {
  candidates: DirectCandidate[];
  proven: string[];
  unknown: string[];
  compared: number;
  total: number;
  /** Of each range: its candidates, and where to go on after it. */
  ranges: { keys: string[]; cursor: unknown }[];
}

/** A whole scan, or what is left of it from a cursor on. */
export async function scanned(comparison: DirectDocuments, from: unknown = null): Promise<Scanned> {
  const all: Scanned = { candidates: [], proven: [], unknown: [], compared: 0, total: 0, ranges: [] };
  for await (const range of comparison.scan(from, new AbortController().signal)) {
    all.candidates.push(...range.candidates);
    all.proven.push(...range.proven);
    all.unknown.push(...(range.unknown ?? []));
    all.compared += range.compared;
    all.total = range.total;
    all.ranges.push({ keys: keys(range.candidates), cursor: JSON.parse(JSON.stringify(range.cursor)) });
  }
  return all;
}

export function keys(candidates: readonly DirectCandidate[]): string[] {
  return candidates.map(({ key }) => key).sort();
}
