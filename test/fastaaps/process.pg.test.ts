import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, it } from 'node:test';
import { freePort } from '../../embedded/free-port.ts';
import { testDatabase } from '../support/postgres.ts';
import { clientOf, each, header, PASSWORD, TARGET, TOKEN, USERNAME, upsert } from './reference.ts';

const ROOT = join(import.meta.dirname, '../..');
const MAIN = join(ROOT, 'embedded/fastaaps/main.ts');

interface Running {
  child: ChildProcess;
  url: string;
  log: { event?: string; path?: string; status?: number }[];
  lines: string[];
}

async function startProcess(env: Record<string, string>, args: string[] = []): Promise<Running> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env.PATH, FASTAAPS_CONNECTORS_DIR: join(ROOT, 'connectors'), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  after(() => child.kill('SIGKILL'));
  const running: Running = { child, url: `http://127.0.0.1:${env.HTTP_PORT}`, log: [], lines: [] };
  const listening = Promise.withResolvers<void>();
  createInterface({ input: child.stdout! }).on('line', (line) => {
    running.lines.push(line);
    const entry = JSON.parse(line);
    running.log.push(entry);
    if (entry.event === 'listening') listening.resolve();
  });
  child.once('exit', (code) => listening.reject(new Error(`the service ended with ${code}`)));
  await listening.promise;
  return running;
}

describe('the service as a process', () => {
  it('knows the connectors’ schemas, logs without bodies, survives a restart, ends in order', async () => {
    const { url: databaseUrl } = await testDatabase();
    const env = {
      FASTAAPS_DATABASE_URL: databaseUrl,
      HTTP_PORT: String(await freePort()),
      FASTAAPS_USERNAME: USERNAME,
      FASTAAPS_PASSWORD: PASSWORD,
      FASTAAPS_TOKEN: TOKEN,
    };
    const first = await startProcess(env);
    const client = clientOf(first.url);
    const good = upsert(1601, 1, '{"informacion_general":{"id_siirays":1601,"nombre":"not for the log"}}');
    await client.postChanges(TARGET, header(1), each([good]));
    const bad = upsert(1602, 2, '{"informacion_general":{"id_siirays":1602},"tuberias":[{"longitud_total":1}]}');
    await assert.rejects(client.postChanges(TARGET, header(2), each([bad])), { kind: 'refused' });
    first.child.kill('SIGTERM');
    const [code] = await once(first.child, 'exit');
    assert.equal(code, 0);
    assert.equal(first.log.at(-1)?.event, 'stopped');
    const requests = first.log.filter((entry) => entry.event === 'request');
    assert.deepEqual(
      requests.map(({ path, status }) => [path, status]),
      [
        ['/registro/changes', 200],
        ['/registro/changes', 422],
      ],
    );
    const log = first.lines.join('\n');
    for (const secret of [
      'not for the log',
      PASSWORD,
      TOKEN,
      Buffer.from(`${USERNAME}:${PASSWORD}`).toString('base64'),
    ]) {
      assert.ok(!log.includes(secret), `the log has ${secret}`);
    }

    const second = await startProcess(env, ['--like-today']);
    const response = await fetch(`${second.url}/registro/?db_tag=sync`);
    assert.equal(response.status, 200, 'no authentication today');
    assert.equal(((await response.json()) as unknown[]).length, 1);
    second.child.kill('SIGTERM');
    assert.deepEqual((await once(second.child, 'exit'))[0], 0);
  });

  it('names all that is wrong with its settings', async () => {
    const child = spawn(process.execPath, [MAIN], { env: { HTTP_PORT: 'x' }, stdio: ['ignore', 'ignore', 'pipe'] });
    const chunks: Buffer[] = [];
    child.stderr!.on('data', (chunk: Buffer) => chunks.push(chunk));
    const [code] = await once(child, 'exit');
    assert.notEqual(code, 0);
    const said = Buffer.concat(chunks).toString();
    for (const name of ['FASTAAPS_DATABASE_URL', 'FASTAAPS_USERNAME', 'FASTAAPS_PASSWORD', 'HTTP_PORT']) {
      assert.match(said, new RegExp(name));
    }
  });
});
