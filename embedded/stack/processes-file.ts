import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { PartChange } from '../part.ts';
import { writeJson } from './atomic-file.ts';

/** processes.json of the state folder: the process id of each running part, kept current. */
export class ProcessesFile {
  readonly #file: string;
  readonly #pids: Record<string, number> = {};
  #removed = false;

  constructor(dir: string) {
    this.#file = join(dir, 'processes.json');
  }

  note(change: PartChange): void {
    if (change.event === 'started') this.#pids[change.name] = change.pid;
    else if (change.event === 'ended') delete this.#pids[change.name];
    else return;
    if (!this.#removed) writeJson(this.#file, this.#pids);
  }

  /** The process ids of the parts that run, ready or not. */
  pids(): number[] {
    return Object.values(this.#pids);
  }

  /** For good: a part that was still starting says nothing any more. */
  remove(): void {
    this.#removed = true;
    rmSync(this.#file, { force: true });
  }
}
