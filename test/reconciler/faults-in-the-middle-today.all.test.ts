/** Reconciling with today's FASTAAPS (adapter `restore`, service without versions) through the engine and the HTTP API. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { asToday } from '../../embedded/fastaaps/today-model.ts';
import { loadConnectors } from '../../src/connector/load.ts';
import { parseLsn } from '../../src/postgres/lsn.ts';
import { canonicalText, parseDigits, type Rows, referenceDocuments } from '../connector/reference-projection.ts';
import { startProxy } from '../fastaaps/proxy.ts';
import { normalised, RunningPipeline } from '../support/running-pipeline.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';
import { ReconcilerClient } from './reconciler-client.ts';

const connectors = tempDir('connectors');
after(() => connectors.remove());
cpSync('connectors', connectors.path, { recursive: true });
const FILE = join(connectors.path, 'epsa.yaml');
const YAML = readFileSync(FILE, 'utf8').replace('adapter: changes', 'adapter: restore');
writeFileSync(FILE, YAML);
const SCHEMA = loadConnectors(connectors.path).find(({ name }) => name === 'epsa')!.documentSchema;

const reconciler: Record<string, string> = {
  RECONCILE_SCHEDULE: 'off',
  RECONCILE_DIRECT_SCHEDULE: 'off',
  RECONCILE_SIIRAYS_SHARE: '100',
  FASTAAPS_TIMEOUT: '2s',
};
const pipeline = await RunningPipeline.start({
  ...{ epsas: 200, connectorsDir: connectors.path, likeToday: true },
  settings: { reconciler, consumer: { RESTORE_INTERVAL: '1s', RETRY_MAX: '500ms' } },
});
const { stack, siirays, sync } = pipeline;
const proxy = await startProxy(stack.endpoints.fastaaps);
reconciler.FASTAAPS_URL = proxy.url;
await stack.start('reconciler');
const client = new ReconcilerClient(stack.endpoints);
const fastaaps = new pg.Pool({ connectionString: stack.endpoints.fastaapsDatabase, max: 1 });
fastaaps.on('error', () => undefined);
after(() => fastaaps.end());

/** Ids of what lacks a required field. */
const DEAD = [...referenceDocuments(await pipeline.siiraysRows())]
  .filter(([, { problems }]) => problems.length > 0)
  .map(([id]) => id);
/** EPSAs whose documents are whole. */
const WHOLE = [...referenceDocuments(await pipeline.siiraysRows()).keys()].filter((id) => !DEAD.includes(id));

async function held(tag: string): Promise<Map<string, string>> {
  const { rows } = await fastaaps.query<{ id: string; document: string }>(
    `SELECT id, document::text AS document FROM document WHERE collection = 'registro' AND db_tag = $1`,
    [tag],
  );
  return new Map(rows.map(({ id, document }) => [id, canonicalText(normalised(parseDigits(document)) as never)]));
}

/** The documents of these rows as today's service takes them. */
function expected(rows: Rows): Map<string, string> {
  const whole = [...referenceDocuments(rows)].filter(([, { problems }]) => problems.length === 0);
  return new Map(
    whole.map(([id, { document }]) => {
      const taken = asToday(JSON.parse(canonicalText(document)), SCHEMA);
      return [id, canonicalText(normalised(parseDigits(JSON.stringify(taken))) as never)];
    }),
  );
}

/** All is proven, but what lacks a required field. */
async function assertProven(what: string, options: Record<string, unknown> = {}): Promise<void> {
  const run = await client.reconcile({ mode: 'verify', ...options });
  assert.deepEqual([run.error, run.found], [null, { dead_letter: DEAD.length }], `${what}: ${JSON.stringify(run)}`);
}

async function assertSet(tag: string, rows: Rows, what: string): Promise<void> {
  const set = await held(tag);
  const wanted = expected(rows);
  assert.deepEqual([...set.keys()].sort(), [...wanted.keys()].sort(), `${what}: ids`);
  for (const [id, document] of wanted) assert.equal(set.get(id), document, `${what}: document ${id}`);
}

const LIVE = `collection = 'registro' AND db_tag = 'sync'`;

describe("reconciling with today's FASTAAPS", { timeout: 290_000 }, () => {
  test('nothing but dead letters differs; what the service does to values is a warning, once', async () => {
    const run = await client.reconcile({ mode: 'verify' });
    assert.deepEqual(run.found, { dead_letter: DEAD.length }, JSON.stringify(run));
    assert.equal(new Set(run.notes).size, run.notes.length);
    assert.match(run.notes.join('\n'), /is trimmed/);
    await assertProven('direct', { direct: true });
    await assertSet('sync', await pipeline.siiraysRows(), 'the live set');
  });

  for (const direct of [false, true]) {
    test(`what is wrong in it is found and repaired by a whole set: ${direct ? 'direct' : 'documents'}`, async () => {
      await fastaaps.query(`DELETE FROM document WHERE ${LIVE} AND id = '${WHOLE[0]}'`);
      await fastaaps.query(
        `UPDATE document SET document = jsonb_set(document, '{informacion_general,sigla}', '"otra"') WHERE ${LIVE} AND id = '${WHOLE[1]}'`,
      );
      await fastaaps.query(
        `INSERT INTO document (collection, db_tag, id, document)
         SELECT collection, db_tag, '777777', jsonb_set(document, '{informacion_general,id_siirays}', '777777')
           FROM document WHERE ${LIVE} AND id = '${WHOLE[2]}'`,
      );
      const verified = await client.reconcile({ mode: 'verify', direct });
      const found = verified.differences.filter(({ kind }) => kind !== 'dead_letter');
      assert.deepEqual(
        found.map(({ kind, wrong, documents, path }) => [kind, wrong, documents[0], path]).sort(),
        [
          ['document', 'fastaaps', WHOLE[0], null],
          ['document', 'fastaaps', WHOLE[1], 'informacion_general.sigla'],
          ['document', 'fastaaps', '777777', null],
        ].sort(),
        JSON.stringify(found),
      );
      const repaired = await client.reconcile({ direct });
      assert.deepEqual(repaired.repaired, { document: 3 }, JSON.stringify(repaired));
      await assertProven('after the repair', { direct });
      await assertSet('sync', await pipeline.siiraysRows(), 'after the repair');
    });
  }

  test('a wrong row of the replica is found, repaired through the stream, and what it made of its document too', async () => {
    await sync.query(`UPDATE epsa.epsa SET nombre_epsa = 'falso' WHERE id_epsa = ${WHOLE[3]}`);
    const verified = await client.reconcile({ mode: 'verify', tables: ['epsa'] });
    assert.deepEqual(
      verified.differences.map(({ table, path, documents }) => [table, path, documents[0]]),
      [['public.epsa', 'nombre_epsa', WHOLE[3]]],
    );
    const repaired = await client.reconcile({});
    assert.equal(repaired.repaired.row, 1, JSON.stringify(repaired));
    await assertProven('after the repair');
  });

  test('its answers late, once silent for longer than the time-out: the comparison goes on', async () => {
    for (const direct of [false, true]) {
      let asked = 0;
      proxy.treat = () => {
        asked += 1;
        if (asked === 1) return { hold: sleep(2_500) };
        return asked === 2 ? { half: sleep(2_500) } : { hold: sleep(700) };
      };
      await assertProven('slow', { direct });
      assert.ok(asked >= 3);
    }
    proxy.treat = () => 'pass';
  });

  test('restores into backup, each one commit of SIIRAyS under load: the one that its LSN says', async () => {
    // Each transaction changes rows of every EPSA, and of a catalogue: the stamp tells which commit a set shows.
    const writer = new pg.Client({ connectionString: stack.endpoints.siirays });
    await writer.connect();
    const stamped = (stamp: number) => ({
      epsa: { web: `sello ${stamp}` },
      ingresos: { monto: `${stamp}.00` },
      localidad: { municipio: `lugar ${stamp}` },
    });
    const commits: { before: bigint; after: bigint }[] = [];
    const position = async (): Promise<bigint> => {
      const { rows } = await writer.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn()::text AS lsn');
      return parseLsn(rows[0]!.lsn);
    };
    const ending = new AbortController();
    const writing = (async () => {
      while (!ending.signal.aborted) {
        const before = await position();
        const sets = Object.entries(stamped(commits.length)).map(([table, columns]) => {
          const [column, value] = Object.entries(columns)[0]!;
          return `UPDATE ${table} SET ${column} = '${value}'`;
        });
        await writer.query(`BEGIN; ${sets.join('; ')}; COMMIT`);
        commits.push({ before, after: await position() });
      }
    })();
    const sets: { documents: Map<string, string>; lsn: bigint }[] = [];
    try {
      await until(() => commits.length > 1, 'the first commits', 30_000);
      while (sets.length < 4) {
        const run = await client.reconcile({ mode: 'restore', target: 'backup' });
        assert.deepEqual([run.error, run.found], [null, { dead_letter: DEAD.length }], JSON.stringify(run));
        sets.push({ documents: await held('backup'), lsn: parseLsn(run.lsn!) });
      }
    } finally {
      ending.abort();
      await writing;
      await writer.end();
    }
    const last = await pipeline.siiraysRows();
    for (const { documents, lsn } of sets) {
      const text = documents.get(WHOLE[0]!)!;
      const stamp = Number(/"web":"sello (\d+)"/.exec(text)?.[1]);
      const { before } = commits[stamp]!;
      assert.ok(before < lsn, `commit ${stamp} lies below the LSN`);
      // The snapshot comes right before the LSN: at most one commit can lie between them.
      const next = commits[stamp + 2];
      assert.ok(next === undefined || next.after > lsn, `no later commit than ${stamp} is missing`);
      const rows = Object.fromEntries(
        Object.entries(last).map(([table, some]) => [
          table,
          some.map((row) => ({ ...row, ...(stamped(stamp) as Record<string, object>)[table] })),
        ]),
      );
      const wanted = expected(rows);
      assert.deepEqual([...documents.keys()].sort(), [...wanted.keys()].sort());
      for (const [id, document] of wanted) assert.equal(documents.get(id), document, `document ${id} at ${stamp}`);
    }
    await assertProven('after the load');
  });

  test('over the live set, which the consumer then sends once more', async () => {
    const run = await client.reconcile({ mode: 'restore', target: 'sync' });
    assert.deepEqual([run.error, run.found], [null, { dead_letter: DEAD.length }], JSON.stringify(run));
    await assertProven('the live set');
    await assertSet('sync', await pipeline.siiraysRows(), 'the live set');
  });

  test('a document that the service refuses fails the whole, by its name, and the old backup stays', async () => {
    const old = await held('backup');
    await stack.part('fastaaps').stop();
    writeFileSync(FILE, YAML.replace(/^( +)web:$/m, '$1web: { required: true }'));
    await stack.start('fastaaps');
    await siirays.query(`UPDATE epsa SET web = nullif('w', CASE WHEN id_epsa = ${WHOLE[4]} THEN 'w' END)`);
    const run = await client.reconcile({ mode: 'restore', target: 'backup' });
    assert.equal(run.state, 'failed', JSON.stringify(run));
    assert.match(
      run.error!.message,
      new RegExp(`refuses document ${WHOLE[4]} at informacion_general\\.web: .*db_tag=backup was not replaced`),
    );
    assert.deepEqual(await held('backup'), old);
    // The live set keeps that document's last accepted version, as a dead letter.
    await until(async () => (await pipeline.deadLetters()).includes(WHOLE[4]!), 'its dead letter', 30_000);
    const verified = await client.reconcile({ mode: 'verify' });
    assert.deepEqual(verified.found, { dead_letter: DEAD.length + 1 }, JSON.stringify(verified));

    await stack.part('fastaaps').stop();
    writeFileSync(FILE, YAML);
    await stack.start('fastaaps');
    const repaired = await client.reconcile({});
    assert.equal(repaired.repaired.dead_letter, 1, JSON.stringify(repaired));
    await client.reconcile({ mode: 'restore', target: 'backup' });
    await assertSet('backup', await pipeline.siiraysRows(), 'the backup');
    await assertProven('at the end');
  });
});
