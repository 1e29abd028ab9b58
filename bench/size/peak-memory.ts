import { readFileSync } from 'node:fs';

/** How often a process's peak is read: it is kept by the kernel, so that only a process's last moments may be missed. */
const EVERY_MS = 100;

/** Follows the peak resident memory of processes, in bytes, over their restarts: proc_pid_status(5), VmHWM. */
export class PeakMemory {
  readonly peaks = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;

  /** @param pids the processes to be followed, as they are now, by name */
  constructor(pids: () => Iterable<[name: string, pid: number | undefined]>) {
    this.#timer = setInterval(() => {
      for (const [name, pid] of pids()) this.#look(name, pid);
    }, EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(name: string, pid: number | undefined): void {
    const bytes = pid === undefined ? 0 : peakOf(pid);
    if (bytes > (this.peaks.get(name) ?? 0)) this.peaks.set(name, bytes);
  }
}

function peakOf(pid: number): number {
  try {
    const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Number(found?.[1] ?? 0) * 1024;
  } catch {
    return 0; // it has ended
  }
}
