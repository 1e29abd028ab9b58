import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StormPart } from '../plan.ts';
import type { Arena } from './arena.ts';

/** Each process of a PostgreSQL server has its own work: the whole server stands still only when all of them do. */
const SERVERS: readonly StormPart[] = ['siirays', 'postgres'];

/** A new process comes at once, or after a back-off of some seconds where the part had just been started. */
const STARTED_WITHIN_MS = 15_000;

export async function kill({ stack }: Arena, part: StormPart): Promise<void> {
  stack.kill(part, 'SIGKILL');
}

/** SIGTERM; a PostgreSQL server by SIGINT (fast shutdown), since SIGTERM waits for its sessions to go by themselves. */
export async function terminate({ stack }: Arena, part: StormPart): Promise<void> {
  stack.kill(part, SERVERS.includes(part) ? 'SIGINT' : 'SIGTERM');
}

/** Kills, and kills the new process again so soon after it was started. */
export async function killTwice(arena: Arena, part: StormPart, afterMs: number): Promise<void> {
  const started = arena.nextStart(part);
  arena.stack.kill(part, 'SIGKILL');
  await Promise.race([started, sleep(STARTED_WITHIN_MS, undefined, { ref: false })]);
  await sleep(afterMs);
  arena.stack.kill(part, 'SIGKILL');
}

/** SIGSTOP, and SIGCONT after so long: what comes back takes itself for the one it was. */
export async function standStill({ stack }: Arena, part: StormPart, forMs: number): Promise<void> {
  const pid = stack.pid(part);
  if (pid === undefined) return;
  const pids = SERVERS.includes(part) ? [pid, ...childrenOf(pid)] : [pid];
  signalAll(pids, 'SIGSTOP');
  try {
    await sleep(forMs);
  } finally {
    signalAll(pids, 'SIGCONT');
  }
}

function signalAll(pids: number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** proc(5): the fourth field of /proc/PID/stat, after the name in brackets, is the parent. */
function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent;
      } catch {
        return false; // it has ended
      }
    })
    .map(Number);
}
