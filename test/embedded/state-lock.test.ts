import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { it } from 'node:test';
import { lockState, StateInUse } from '../../embedded/stack/state-lock.ts';
import { tempDir } from '../support/temp-dir.ts';

it('gives a state folder to one process at a time, and frees it when that is killed', async () => {
  const dir = tempDir('lock');
  const module = join(import.meta.dirname, '../../embedded/stack/state-lock.ts');
  const script = `
    const { lockState } = await import(${JSON.stringify(module)});
    await lockState(process.argv[1]);
    console.log('locked');
    setInterval(() => {}, 1000);`;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script, dir.path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  await assert.rejects(lockState(dir.path), (error: StateInUse) => {
    assert.ok(error instanceof StateInUse);
    assert.match(error.message, new RegExp(`process ${holder.pid}`));
    return true;
  });
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const unlock = await lockState(dir.path);
  unlock();
  dir.remove();
});
