import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../../embedded/tools.ts';
import { tempDir } from '../support/temp-dir.ts';

interface Ended {
  code: number | null;
  output: string;
  errors: string;
}

function start(args: string[], env: Record<string, string> = {}) {
  const stdio = ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'];
  return spawn(process.execPath, args, { cwd: ROOT, env: { ...process.env, ...env }, stdio });
}

async function run(args: string[], env?: Record<string, string>): Promise<Ended> {
  const child = start(args, env);
  const ended = once(child, 'close');
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await ended;
  return { code, output, errors };
}

const BOOTSTRAP = 'embedded/bootstrap.js';

describe('the bootstrap', () => {
  it('does nothing and says nothing where the set-up is done', async () => {
    await run([BOOTSTRAP, 'setup']);
    assert.deepEqual(await run([BOOTSTRAP, 'setup']), { code: 0, output: '', errors: '' });
  });

  it('explains itself when the command is unknown', async () => {
    const { code, errors } = await run([BOOTSTRAP, 'toString']);
    assert.equal(code, 64);
    assert.match(errors, /bootstrap\.js <command>/);
  });

  it('runs a program on Node 24 and ends with its exit code', async () => {
    const { code, output } = await run([BOOTSTRAP, 'node', '-e', 'console.log(process.version); process.exit(3)']);
    assert.equal(code, 3);
    assert.match(output, /^v24\./);
  });

  it('passes signals on, and waits for the end that they bring', async () => {
    const program = "process.on('SIGTERM', () => process.exit(7)); setInterval(() => 0, 1000); console.log('up')";
    const bootstrap = start([BOOTSTRAP, 'node', '-e', program]);
    await once(bootstrap.stdout, 'data');
    bootstrap.kill('SIGTERM');
    assert.deepEqual(await once(bootstrap, 'exit'), [7, null]);
  });
});

describe("the set-up's cache", () => {
  const module = pathToFileURL(join(ROOT, 'embedded/setup/cache.js')).href;
  const fill = (body: string): string[] => [
    '--input-type=module',
    '-e',
    `import { writeFileSync } from 'node:fs';
     import { cached } from ${JSON.stringify(module)};
     console.log(await cached('thing-1', async (folder) => { ${body} }));`,
  ];

  it('fills a folder once, whoever else fills it at the same time', async () => {
    const dir = tempDir('cache');
    const args = fill("writeFileSync(folder + '/a', 'a'); await new Promise((done) => setTimeout(done, 300));");
    const both = await Promise.all([1, 2].map(() => run(args, { XDG_CACHE_HOME: dir.path })));
    const folder = join(dir.path, 'siirays-sync', 'thing-1');
    for (const { code, output } of both) assert.deepEqual({ code, output }, { code: 0, output: `${folder}\n` });
    assert.deepEqual(readdirSync(join(dir.path, 'siirays-sync')), ['thing-1']);
    assert.ok(existsSync(join(folder, 'a')));
    dir.remove();
  });

  it('holds nothing of a filling that failed', async () => {
    const dir = tempDir('cache');
    const { code } = await run(fill("writeFileSync(folder + '/a', 'a'); throw new Error('no network');"), {
      XDG_CACHE_HOME: dir.path,
    });
    assert.equal(code, 1);
    assert.deepEqual(readdirSync(join(dir.path, 'siirays-sync')), []);
    dir.remove();
  });
});
