import { existsSync, readdirSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

/** The server's processes: programs named postgres whose working directory is the data folder. */
function processesOf(dataDir: string): number[] {
  const folder = realpathSync(dataDir);
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && linkOf(pid, 'cwd') === folder && linkOf(pid, 'exe')?.includes('/postgres'));
}

function linkOf(pid: number, name: 'cwd' | 'exe'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/${name}`);
  } catch {
    return undefined; // it ended meanwhile, or is somebody else's
  }
}

/**
 * Ends what a killed server left in its data folder. Backends notice the death of their postmaster only when they
 * wait next, and as long as one lives its shared memory keeps a new server from starting; each is a session of its
 * own, so that no process group holds them. A postmaster.pid whose number another program has meanwhile would keep it
 * from starting as well.
 */
export async function endLeftovers(dataDir: string): Promise<void> {
  if (!existsSync(dataDir)) return;
  for (let pids = processesOf(dataDir); pids.length > 0; pids = processesOf(dataDir)) {
    for (const pid of pids) endProcess(pid);
    await wait(20);
  }
  rmSync(join(dataDir, 'postmaster.pid'), { force: true });
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
