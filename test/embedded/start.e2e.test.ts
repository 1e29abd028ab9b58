import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Client } from 'pg';
import type { Endpoints } from '../../embedded/stack/endpoints.ts';
import { ROOT } from '../../embedded/tools.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';
import { RunningStart } from './running-start.ts';

const EPSAS = '20';
const STOP_WITHIN_MS = 8000;
const PARTS = [
  'siirays',
  'postgres',
  'kafka',
  'registry',
  'pgbouncer',
  'fastaaps',
  'producer',
  'consumer',
  'reconciler',
];

async function inSiirays(
  endpoints: Endpoints,
  sql: string,
  values: unknown[] = [],
): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: endpoints.siirays });
  await client.connect();
  try {
    return (await client.query(sql, values)).rows;
  } finally {
    await client.end();
  }
}

async function fastaapsNames(endpoints: Endpoints): Promise<string[]> {
  const authorization = `Basic ${Buffer.from(endpoints.fastaapsAuth).toString('base64')}`;
  const answer = await fetch(`${endpoints.fastaaps}/registro/?db_tag=sync`, { headers: { authorization } });
  const documents = (await answer.json()) as { informacion_general: { nombre?: string } }[];
  return documents.map((document) => document.informacion_general.nombre ?? '');
}

async function untilFastaapsHas(endpoints: Endpoints, name: string): Promise<void> {
  const has = (): Promise<boolean> =>
    fastaapsNames(endpoints).then(
      (names) => names.includes(name),
      () => false,
    );
  await until(has, `the document named ${name}`, 60_000);
}

/** Names the first EPSA anew, and waits until FASTAAPS has it. */
async function rename(endpoints: Endpoints, name: string): Promise<void> {
  const change = 'UPDATE epsa SET nombre_epsa = $1 WHERE id_epsa = (SELECT min(id_epsa) FROM epsa) RETURNING id_epsa';
  await until(() => inSiirays(endpoints, change, [name]).catch(() => false), 'a commit in SIIRAyS');
  await untilFastaapsHas(endpoints, name);
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

function portOf(address: string): number {
  return Number(/:(\d+)(?:\/|$)/.exec(address)![1]);
}

describe('npm start', () => {
  const dir = tempDir('start');
  let running: RunningStart;
  let endpoints: Endpoints;

  before(async () => {
    running = new RunningStart(dir.path, ['--epsas', EPSAS]);
    endpoints = await running.untilLoaded();
  });

  after(async () => {
    if (running.npm.exitCode === null) await running.interrupt();
    dir.remove();
  });

  it('delivers every document of SIIRAyS that is whole, and says what runs where', async () => {
    const [row] = await inSiirays(endpoints, 'SELECT count(*)::int AS epsas FROM epsa');
    assert.equal(row!.epsas, Number(EPSAS));
    assert.ok((await fastaapsNames(endpoints)).length > Number(EPSAS) / 2);
    for (const part of PARTS) {
      assert.match(
        running.output,
        new RegExp(`^  ${part} +127.0.0.1:\\d+ .* process ${running.processes()[part]}$`, 'm'),
      );
    }
    assert.match(running.output, /FASTAAPS holds \d+ documents, [\d.]+ MB, [\d.]+ s after the start/);
  });

  it('keeps the passwords to its user', () => {
    for (const file of ['endpoints.json', 'secrets.json']) {
      assert.equal(statSync(join(dir.path, file)).mode & 0o777, 0o600, file);
    }
  });

  it('prints a line for each delivered batch', async () => {
    await rename(endpoints, 'Batch line');
    await until(() => /^delivered \d+ documents.*SIIRAyS at [0-9A-F]+\/[0-9A-F]+/m.test(running.output), 'the line');
  });

  it('refuses a second one on the same state, and says who has it', () => {
    const second = spawnSync('npm', ['start', '--', '--dir', dir.path], { cwd: ROOT, encoding: 'utf8' });
    assert.equal(second.status, 75);
    assert.match(second.stderr, new RegExp(`already runs .*process ${running.chain().supervisor}`));
  });

  for (const name of PARTS) {
    it(`starts ${name} again on its port when it is killed, and the pipeline goes on`, async () => {
      const ports = JSON.parse(readFileSync(join(dir.path, 'ports.json'), 'utf8')) as Record<string, number>;
      const pid = running.processes()[name]!;
      process.kill(pid, 'SIGKILL');
      await until(() => (running.processes()[name] ?? pid) !== pid, 'its new process');
      await until(() => listens(ports[name]!), `its port ${ports[name]}`, 30_000);
      await rename(endpoints, `After the end of ${name}`);
    });
  }

  it('ends within 8 s on SIGINT to the process group, leaving nothing, and goes on with its state', async () => {
    await rename(endpoints, 'Kept');
    running.chain();
    const ms = await running.interrupt();
    assert.ok(ms < STOP_WITHIN_MS, `${ms} ms`);
    await running.untilNothingIsLeft(500);
    assert.equal(await listens(portOf(endpoints.kafka)), false);
    running = new RunningStart(dir.path, []);
    const again = await running.untilLoaded();
    assert.deepEqual(again, endpoints);
    assert.ok((await fastaapsNames(again)).includes('Kept'));
    await rename(again, 'After a restart');
  });

  for (const victim of ['supervisor', 'bootstrap', 'npm'] as const) {
    it(`leaves nothing when ${victim} is killed, and starts again`, async () => {
      const pid = running.chain()[victim];
      running.processes();
      process.kill(pid, 'SIGKILL');
      await running.untilNothingIsLeft(STOP_WITHIN_MS);
      running = new RunningStart(dir.path, []);
      await rename(await running.untilLoaded(), `After the end of ${victim}`);
    });
  }

  it('ends at once and leaves nothing on SIGINT while it starts', async () => {
    await running.interrupt();
    for (const part of ['siirays', 'kafka', 'producer']) {
      running = new RunningStart(dir.path, []);
      await running.untilStarted(part);
      running.chain();
      assert.ok((await running.interrupt()) < STOP_WITHIN_MS);
      await running.untilNothingIsLeft(500);
    }
  });

  it('forgets its state with --fresh', async () => {
    running = new RunningStart(dir.path, ['--fresh', '--epsas', EPSAS]);
    endpoints = await running.untilLoaded();
    const [row] = await inSiirays(
      endpoints,
      "SELECT count(*)::int AS renamed FROM epsa WHERE nombre_epsa LIKE 'After %'",
    );
    assert.equal(row!.renamed, 0);
  });
});
