/** `dead-letters` as an operator uses it, beside the real pipeline, and the same letters by HTTP. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { ROOT } from '../../embedded/tools.ts';
import type { Outcome, Replayed } from '../../src/cli/dead-letters-desk.ts';
import type { DeadLetter } from '../../src/reconciler/http/dead-letter-store.ts';
import type { SourceRow } from '../../src/reconciler/http/source-rows.ts';
import { RunningPipeline } from '../support/running-pipeline.ts';
import { until } from '../support/until.ts';

const pipeline = await RunningPipeline.start({ without: ['traffic'] });
const { stack, siirays, sync } = pipeline;

interface Said {
  code: number;
  stdout: string;
  stderr: string;
}

const environment = stack.environment('reconciler');

function deadLetters(...args: string[]): Promise<Said> {
  const { SYNC_URL, CONNECTORS_DIR } = environment;
  const env = { PATH: process.env.PATH, SYNC_URL, CONNECTORS_DIR };
  return new Promise((resolve) => {
    execFile(process.execPath, ['src/cli.ts', 'dead-letters', ...args], { cwd: ROOT, env }, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

async function json<T>(...args: string[]): Promise<[number, T]> {
  const { code, stdout, stderr } = await deadLetters(...args, '--json');
  assert.notEqual(stdout, '', stderr);
  return [code, JSON.parse(stdout) as T];
}

async function open(...args: string[]): Promise<DeadLetter[]> {
  const [code, lists] = await json<{ deadLetters: DeadLetter[] }[]>('list', ...args);
  assert.equal(code, 0);
  return lists.flatMap((list) => list.deadLetters);
}

async function byHttp(method: string, path: string): Promise<Response> {
  const { reconciler, reconcilerAuth } = stack.endpoints;
  const authorization = `Basic ${Buffer.from(reconcilerAuth!).toString('base64')}`;
  return fetch(`${reconciler}/api/v1${path}`, { method, headers: { authorization } });
}

async function letterOf(id: string): Promise<DeadLetter | undefined> {
  const { rows } = await sync.query<{ id: string; version: string }>(
    'SELECT id, version FROM epsa_sync.dead_letter WHERE id = $1',
    [id],
  );
  return rows[0] as unknown as DeadLetter | undefined;
}

/** Takes a required field away from a document that has it. @returns the document and the row */
async function makeLetter(skip: readonly string[]): Promise<{ id: string; row: string }> {
  const { rows } = await siirays.query<{ id: string; row: string }>(
    `UPDATE requerimiento_desarrollo SET descripcion = NULL WHERE id_requerimiento_desarrollo = (
       SELECT max(s.id_requerimiento_desarrollo) FROM requerimiento_desarrollo s JOIN epsa e USING (id_epsa)
        WHERE s.descripcion IS NOT NULL AND s.id_epsa::text <> ALL ($1))
     RETURNING id_epsa AS id, id_requerimiento_desarrollo AS row`,
    [skip],
  );
  const made = rows[0]!;
  await until(() => letterOf(made.id), `the dead letter of ${made.id}`);
  return made;
}

describe('dead letters', { timeout: 280_000 }, () => {
  test('are listed, shown with their rows of SIIRAyS, replayed, set aside, and superseded', async () => {
    const before = await pipeline.deadLetters();
    const started = new Date(Date.now() - 1_000).toISOString();
    const { id, row } = await makeLetter(before);
    const other = await makeLetter([...before, id]);

    // Listed, by every filter.
    const ids = (letters: DeadLetter[]) => letters.map((letter) => letter.id).sort();
    assert.deepEqual(ids(await open()), [...before, id, other.id].sort());
    assert.deepEqual(ids(await open('--since', started)), [id, other.id].sort());
    assert.deepEqual(ids(await open('--ids', `${id},none`)), [id]);
    assert.deepEqual(await open('--reason', 'refused'), []);
    assert.deepEqual(await open('--state', 'discarded'), []);
    assert.equal((await deadLetters('list', '--check')).code, 2);
    assert.equal((await deadLetters('list', '--check', '--reason', 'refused')).code, 0);
    assert.match((await deadLetters('list')).stdout, new RegExp(`^  ${id}  version 0?\\d+\\.\\d+ .*descripcion`, 'm'));

    // Shown: document, version, path, reason, the very row of SIIRAyS; the same by HTTP.
    const [code, letter] = await json<DeadLetter & { rows: SourceRow[] }>('show', id);
    assert.equal(code, 0);
    assert.deepEqual([letter.id, letter.reason], [id, 'schema']);
    assert.match(letter.path!, /^requerimiento_desarrollo\[\d+\]\.descripcion$/);
    assert.match(letter.version, /^\d+$/);
    assert.deepEqual(letter.rows, [
      { table: 'public.epsa', key: { id_epsa: id } },
      { table: 'public.requerimiento_desarrollo', key: { id_requerimiento_desarrollo: row } },
    ]);
    const { connector, ...shown } = letter as typeof letter & { connector: string };
    assert.equal(connector, 'epsa');
    assert.deepEqual(await (await byHttp('GET', `/dead-letters/${id}`)).json(), shown);
    assert.match((await deadLetters('show', id)).stdout, new RegExp(`requerimiento_desarrollo=${row}$`, 'm'));

    // Replayed unmended, it is refused again, under a higher version.
    const [again, refused] = await json<Replayed & Outcome>('replay', id, '--wait', '30s');
    assert.equal(again, 2);
    assert.deepEqual([refused.replayed, ids(refused.refused), refused.taken], [1, [id], []]);
    assert.ok(BigInt(refused.refused[0]!.version) > BigInt(letter.version));

    // Set aside; told and audited; a newer version supersedes that, too.
    assert.match((await deadLetters('discard', other.id)).stdout, /set aside by /);
    assert.deepEqual(ids(await open('--state', 'discarded')), [other.id]);
    assert.ok(!ids(await open()).includes(other.id));
    assert.ok(ids(await open('--state', 'all')).includes(other.id));
    const audit = (await (await byHttp('GET', '/audit')).json()) as {
      entries: { action: string; object: string; role: string }[];
    };
    const done = audit.entries.map(({ role, action, object }) => `${role}: ${action} ${object}`);
    assert.ok(done.includes(`cli: dead-letter.replay epsa/${id}`), done.join());
    assert.ok(done.includes(`cli: dead-letter.discard epsa/${other.id}`), done.join());

    // Mended in SIIRAyS, both are superseded without a hand.
    await siirays.query(
      `UPDATE requerimiento_desarrollo SET descripcion = 'sanado' WHERE id_requerimiento_desarrollo = ANY ($1::int[])`,
      [[row, other.row]],
    );
    await until(async () => !(await letterOf(id)) && !(await letterOf(other.id)), 'the letters to be superseded');
    await pipeline.assertEqual('the mended documents');
  });

  test('refused by FASTAAPS, where its cause was there, a replay is taken', async () => {
    const { rows } = await sync.query<{ id: string }>(
      `SELECT id FROM epsa_sync.document AS d WHERE NOT deleted AND NOT EXISTS (SELECT FROM epsa_sync.dead_letter AS l WHERE l.id = d.id)
       ORDER BY id LIMIT 1`,
    );
    const id = rows[0]!.id;
    // As bury() leaves it: what FASTAAPS refused once is no longer pending.
    await sync.query(
      `INSERT INTO epsa_sync.dead_letter (id, epoch, version, reason, path, detail)
       SELECT id, epoch, version, 'refused', 'informacion_general.nombre', '[{"loc": ["x"], "msg": "too long", "type": "t"}]'
         FROM epsa_sync.document WHERE id = $1`,
      [id],
    );
    assert.match((await deadLetters('show', id)).stdout, /refused by FASTAAPS: too long/);
    const [code, { taken, refused }] = await json<Outcome>('replay', id, '--wait', '30s');
    assert.deepEqual([code, taken, refused], [0, [id], []]);
    assert.equal(await letterOf(id), undefined);
    assert.equal((await deadLetters('replay', '--all', '--reason', 'refused')).code, 0);
  });

  test('wrong requests are told apart by their exit codes', async () => {
    for (const command of ['show', 'replay', 'discard']) {
      const { code, stderr } = await deadLetters(command, 'none');
      assert.equal(code, 66, stderr);
      assert.match(stderr, /epsa has no dead letter of "none"/);
    }
    for (const args of [
      ['list', '--state', 'dead'],
      ['list', '--since', 'yesterday'],
      ['list', '--connector', 'epsas'],
      ['replay'],
      ['replay', '1', '--all'],
      ['replay', '1', '--reason', 'schema'],
    ]) {
      const { code, stderr } = await deadLetters(...args);
      assert.equal(code, 64, `${args}: ${stderr}`);
      assert.notEqual(stderr, '');
    }
    assert.match((await deadLetters('list', '--connector', 'epsas')).stderr, /did you mean|epsa/i);
  });
});
