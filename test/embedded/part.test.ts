import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, it } from 'node:test';
import { Part, type PartChange, PartError, type PartOptions } from '../../embedded/part.ts';
import { isRunning } from '../support/processes.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';

const dir = tempDir('part');
after(() => dir.remove());

/** A part that runs a shell script. */
function shellPart(script: string, options: Partial<PartOptions> = {}): { part: Part; changes: PartChange[] } {
  const changes: PartChange[] = [];
  const part = new Part({
    name: 'shell',
    command: { file: 'sh', args: ['-c', script] },
    deathSignal: 'KILL',
    logFile: join(dir.path, 'log'),
    ready: async () => true,
    readyWithinMs: 5000,
    stopSignal: 'SIGTERM',
    stopWithinMs: 300,
    onChange: (change) => changes.push(change),
    ...options,
  });
  after(() => part.stop());
  return { part, changes };
}

describe('a part', () => {
  it('is started again at once when it is killed, and later the next time', async () => {
    const { part, changes } = shellPart('exec sleep 1000');
    await part.start();
    const waits: number[] = [];
    for (const round of [1, 2, 3]) {
      const before = part.pid;
      part.kill('SIGKILL');
      await until(() => part.pid !== undefined && part.pid !== before, `start ${round + 1}`);
    }
    for (const change of changes) if (change.event === 'ended') waits.push(change.againInMs);
    assert.equal(waits[0], 0);
    assert.ok(waits[1]! > 0 && waits[2]! > waits[1]!, waits.join());
  });

  it('is given up when it ends three times before it is ready, with the end of its log', async () => {
    const { part, changes } = shellPart('echo no luck; exit 3', { ready: async () => false });
    await assert.rejects(part.start(), (error: PartError) => {
      assert.ok(error instanceof PartError);
      assert.match(error.message, /shell ended with exit code 3.*no luck/s);
      return true;
    });
    assert.equal(changes.filter(({ event }) => event === 'started').length, 3);
  });

  it('is ended with its children although it does not listen', async () => {
    const lines: string[] = [];
    const { part } = shellPart("trap '' TERM; sleep 1000 & echo $!; wait; wait", {
      onLine: (line) => lines.push(line),
    });
    await part.start();
    await until(() => lines.length > 0, 'the child');
    const startedAt = performance.now();
    await part.stop();
    assert.ok(performance.now() - startedAt < 2000);
    await until(() => !isRunning(Number(lines[0])), 'the end of the child');
    assert.equal(part.pid, undefined);
  });

  it('can be started again after it was stopped', async () => {
    const { part } = shellPart('exec sleep 1000');
    await part.start();
    await part.stop();
    await part.start();
    const before = part.pid;
    assert.ok(before);
    part.kill('SIGKILL');
    await until(() => part.pid !== undefined && part.pid !== before, 'its restart');
  });

  it('does not hear what is sent to the process group of its supervisor, and ends with it', async () => {
    const module = join(import.meta.dirname, '../../embedded/part.ts');
    const script = `
      const { Part } = await import(${JSON.stringify(module)});
      const part = new Part({
        name: 'sleep', command: { file: 'sleep', args: ['1000'] }, deathSignal: 'KILL', logFile: process.argv[1],
        ready: async () => true, readyWithinMs: 1000, stopSignal: 'SIGTERM', stopWithinMs: 1000,
      });
      process.on('SIGINT', () => console.log('heard'));
      await part.start();
      console.log(part.pid);`;
    const supervisor = spawn(process.execPath, ['--input-type=module', '-e', script, join(dir.path, 'log')], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    const lines = createInterface({ input: supervisor.stdout });
    const [pid] = (await once(lines, 'line')) as [string];
    process.kill(-supervisor.pid!, 'SIGINT');
    await once(lines, 'line');
    assert.ok(isRunning(Number(pid)), 'it runs');
    supervisor.kill('SIGKILL');
    await until(() => !isRunning(Number(pid)), 'its end');
  });
});
