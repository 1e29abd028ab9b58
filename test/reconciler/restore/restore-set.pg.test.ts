import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { type CollectionModel, modelsOf } from '../../../embedded/fastaaps/model.ts';
import { brokenEpsas, loadSample } from '../../../embedded/siirays/sample.ts';
import type { CompiledConnector } from '../../../src/connector/compiled.ts';
import { loadConnectors } from '../../../src/connector/load.ts';
import type { FastaapsClient } from '../../../src/fastaaps/client.ts';
import { parseLsn } from '../../../src/postgres/lsn.ts';
import { connect, disconnect } from '../../../src/postgres/session.ts';
import { firstDifference } from '../../../src/reconciler/documents/json-difference.ts';
import { assertRestorable, type RestoreOptions, restoreSet } from '../../../src/reconciler/restore/restore-set.ts';
import { canonicalText, type ReferenceDocument, referenceDocuments } from '../../connector/reference-projection.ts';
import { SiiraysDatabase } from '../../connector/siirays-database.ts';
import { all, clientOf, startReference } from '../../fastaaps/reference.ts';
import { testDatabase } from '../../support/postgres.ts';
import { until } from '../../support/until.ts';

await testDatabase();
const BACKUP = { path: '/registro', tag: 'backup' };

interface Rig {
  url: string;
  siirays: SiiraysDatabase;
  connector: CompiledConnector;
  fastaaps: FastaapsClient;
  restore(options?: Partial<RestoreOptions>): ReturnType<typeof restoreSet>;
  /** Texts of the backup by id. */
  backup(): Promise<Map<string, string>>;
  /** Sessions of restores on SIIRAyS. */
  sessions(): Promise<number>;
}

async function restoreRig(epsas: number, broken: boolean, models = modelsOf): Promise<Rig> {
  const { url } = await testDatabase();
  const siirays = await SiiraysDatabase.create(url);
  after(() => siirays.close());
  await loadSample(siirays.client, { epsas, broken });
  const connector = loadConnectors('connectors', siirays.catalog).find(({ name }) => name === 'epsa')!;
  const service = await startReference({ models: models([connector]) });
  const fastaaps = clientOf(service.url);
  return {
    ...{ url, siirays, connector, fastaaps },
    restore: (options = {}) =>
      restoreSet({
        ...{ connector, url, fastaaps, lockTimeoutMs: 5_000, target: 'backup', rangeDocuments: 40 },
        onProgress: () => undefined,
        signal: new AbortController().signal,
        ...options,
      }),
    async backup() {
      const texts = await all((await fastaaps.getSet(BACKUP)).documents);
      return new Map(texts.map((text) => [idOf(text), text]));
    },
    async sessions() {
      const { rows } = await siirays.client.query<{ n: string }>(
        `SELECT count(*)::text AS n FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'siirays-sync restore'`,
      );
      return Number(rows[0]!.n);
    },
  };
}

function idOf(text: string): string {
  return String((JSON.parse(text) as { informacion_general: { id_siirays: number } }).informacion_general.id_siirays);
}

/** The client, calling `between` before each document after the first, in the middle of the restore. */
function interrupted(client: FastaapsClient, between: (sent: number) => Promise<void>): FastaapsClient {
  const restore: FastaapsClient['restoreSet'] = (target, documents, options) => {
    async function* slowly() {
      let sent = 0;
      for await (const document of documents) {
        yield document;
        sent += 1;
        await between(sent);
      }
    }
    return client.restoreSet(target, slowly(), options);
  };
  return new Proxy(client, {
    get: (target, name) => {
      const value: unknown = name === 'restoreSet' ? restore : Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function assertEqual(held: Map<string, string>, expected: Map<string, ReferenceDocument>): void {
  assert.deepEqual([...held.keys()].sort(), [...expected.keys()].sort());
  for (const [id, { document }] of expected) {
    assert.equal(firstDifference(canonicalText(document), held.get(id)!), null, id);
  }
}

describe('restoring a set', () => {
  test('gives all documents of SIIRAyS but those that lack a required field', async () => {
    const rig = await restoreRig(600, true);
    const before = await rig.siirays.client.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
    const progress: number[] = [];
    const result = await rig.restore({ onProgress: (documents) => void progress.push(documents) });
    const broken = brokenEpsas({ epsas: 600 }).map(String);
    const expected = referenceDocuments(await rig.siirays.read());
    assert.ok(broken.length > 0);
    assert.deepEqual(
      result.leftOut,
      broken.map((id) => ({ id, problems: expected.get(id)!.problems })),
    );
    assert.equal(result.leftOutCount, broken.length);
    for (const id of broken) expected.delete(id);
    assert.equal(result.documents, expected.size);
    assertEqual(await rig.backup(), expected);
    assert.deepEqual(progress, [500, result.documents]);
    assert.ok(result.bytes > 100_000);
    assert.ok(parseLsn(result.lsn) >= parseLsn(before.rows[0]!.lsn));
  });

  test('shows one commit of SIIRAyS, whatever is committed meanwhile', async () => {
    const rig = await restoreRig(100, false);
    const { client } = rig.siirays;
    let commits = 0;
    const fastaaps = interrupted(rig.fastaaps, async (sent) => {
      if (sent > 100) return;
      commits += 1;
      await client.query(`UPDATE epsa SET nombre_epsa = 'commit ${sent}' WHERE id_epsa IN (1601, 1650, 1700)`);
      await client.query(`DELETE FROM epsa WHERE id_epsa = ${1700 - sent}`);
      await client.query(`INSERT INTO epsa (id_epsa) VALUES (${2_000 + sent})`);
    });
    await client.query(`UPDATE epsa SET nombre_epsa = 'before' WHERE id_epsa IN (1601, 1650, 1700)`);
    const expected = referenceDocuments(await rig.siirays.read());
    await rig.restore({ fastaaps });
    assert.equal(commits, 100);
    assertEqual(await rig.backup(), expected);
  });

  test('fails whole where FASTAAPS refuses a document, naming it, and the old set stays', async () => {
    const strict = (connectors: readonly CompiledConnector[]): CollectionModel[] => {
      const [model] = structuredClone(modelsOf(connectors));
      const { properties } = model!.schema as { properties: { informacion_general: { properties: object } } };
      Object.assign(properties.informacion_general.properties, { web: { type: 'string', pattern: '^(?!refused)' } });
      return [model!];
    };
    const rig = await restoreRig(100, false, strict);
    await rig.restore();
    const old = await rig.backup();
    await rig.siirays.client.query(`UPDATE epsa SET sigla_epsa = 'new'`);
    await rig.siirays.client.query(`UPDATE epsa SET web = 'refused' WHERE id_epsa = 1655`);
    await assert.rejects(rig.restore(), (error: Error) => {
      assert.match(
        error.message,
        /refuses document 1655 at informacion_general\.web: .*db_tag=backup was not replaced/,
      );
      return true;
    });
    assert.deepEqual(await rig.backup(), old);
    assert.equal(await rig.sessions(), 0);
  });

  test('ends with the signal’s reason when it is cancelled, and the old set stays', async () => {
    const rig = await restoreRig(100, false);
    await rig.restore();
    const old = await rig.backup();
    await rig.siirays.client.query(`UPDATE epsa SET sigla_epsa = 'new'`);
    for (const at of [1, 55, 100]) {
      const aborter = new AbortController();
      const fastaaps = interrupted(rig.fastaaps, async (sent) => {
        if (sent === at) aborter.abort(new Error('cancelled by anna'));
      });
      await assert.rejects(rig.restore({ fastaaps, signal: aborter.signal }), /^Error: cancelled by anna$/);
      assert.deepEqual(await rig.backup(), old);
      await until(async () => (await rig.sessions()) === 0, 'the end of the session on SIIRAyS');
    }
  });

  test('ends a wait on SIIRAyS when it is cancelled', async () => {
    const rig = await restoreRig(5, false);
    const blocker = await connect({ connectionString: rig.url });
    await blocker.query('BEGIN; LOCK TABLE localidad IN ACCESS EXCLUSIVE MODE');
    const aborter = new AbortController();
    const restoring = rig.restore({ lockTimeoutMs: 600_000, signal: aborter.signal });
    const failed = assert.rejects(restoring, /^Error: cancelled by anna$/);
    await until(async () => (await rig.sessions()) === 1, 'the restore to wait');
    aborter.abort(new Error('cancelled by anna'));
    await failed;
    await disconnect(blocker);
  });

  test('fails where a table stays locked, and the old set stays', async () => {
    const rig = await restoreRig(20, false);
    await rig.restore();
    const { client } = rig.siirays;
    await client.query('BEGIN; LOCK TABLE localidad IN ACCESS EXCLUSIVE MODE');
    await assert.rejects(rig.restore({ lockTimeoutMs: 50 }), { code: '55P03' });
    await client.query('ROLLBACK');
    assert.equal((await rig.backup()).size, 20);
  });
});

describe('which set may be replaced', () => {
  const [epsa] = loadConnectors('connectors');
  const restoring = { ...epsa!, target: { ...epsa!.target, adapter: 'restore' as const } };

  test('not the one that a connector keeps equal through changes', async () => {
    assert.throws(() => assertRestorable(epsa!, 'sync'), /live set of connector epsa.*such as backup/);
    assert.doesNotThrow(() => assertRestorable(epsa!, 'backup'));
    assert.doesNotThrow(() => assertRestorable(restoring, 'sync'));
  });

  test('nor that of another connector', () => {
    const other = { ...restoring, name: 'other', target: { ...restoring.target, path: 'registro/', tag: 'user' } };
    assert.throws(() => assertRestorable(epsa!, 'user', [epsa!, other]), /set of connector other/);
    assert.doesNotThrow(() => assertRestorable(epsa!, 'backup', [epsa!, other]));
  });

  test('and it is asked before anything is connected', async () => {
    const options = { connector: epsa!, url: 'postgres://nowhere.invalid/', lockTimeoutMs: 1, target: 'sync' };
    const signal = new AbortController().signal;
    const fastaaps = clientOf('http://nowhere.invalid');
    await assert.rejects(restoreSet({ ...options, fastaaps, signal, onProgress: () => undefined }), /live set/);
  });
});
