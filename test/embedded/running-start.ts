import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Endpoints } from '../../embedded/stack/endpoints.ts';
import { ROOT } from '../../embedded/tools.ts';
import { isRunning } from '../support/processes.ts';
import { until } from '../support/until.ts';

/** `npm start` as a person runs it, on a state folder of its own. */
export class RunningStart {
  readonly dir: string;
  readonly npm: ChildProcess;
  output = '';
  readonly #seen = new Set<number>();

  constructor(dir: string, args: string[]) {
    this.dir = dir;
    // A process group of its own, as a shell gives to each job. Two that start at once would both want the usual ports.
    this.npm = spawn('npm', ['start', '--', '--free-ports', '--dir', dir, ...args], { cwd: ROOT, detached: true });
    const add = (text: string): void => {
      this.output += text;
    };
    this.npm.stdout!.setEncoding('utf8').on('data', add);
    this.npm.stderr!.setEncoding('utf8').on('data', add);
  }

  /** Waits until the first load is delivered. */
  async untilLoaded(): Promise<Endpoints> {
    // A killed predecessor left its file: the line counts.
    await this.#until(() => this.output.includes('endpoints.json is written'), 'the first load');
    this.processes();
    return JSON.parse(readFileSync(join(this.dir, 'endpoints.json'), 'utf8')) as Endpoints;
  }

  /** Waits until a part's process was started, ready or not. */
  async untilStarted(part: string): Promise<void> {
    const file = join(this.dir, 'processes.json');
    await this.#until(() => existsSync(file) && this.processes()[part] !== undefined, `the start of ${part}`);
  }

  async #until(condition: () => boolean, what: string): Promise<void> {
    const ended = (): boolean => this.npm.exitCode !== null || this.npm.signalCode !== null;
    await until(() => condition() || ended(), what, 90_000).catch((error: Error) => {
      throw new Error(`${error.message}; npm start said:\n${this.output}`);
    });
    if (!condition()) throw new Error(`npm start ended before ${what}:\n${this.output}`);
  }

  /** The process ids of the parts, as processes.json has them now. */
  processes(): Record<string, number> {
    const pids = JSON.parse(readFileSync(join(this.dir, 'processes.json'), 'utf8')) as Record<string, number>;
    for (const pid of Object.values(pids)) this.#seen.add(pid);
    return pids;
  }

  /** npm, what it started, and so on down to the supervisor: the parts are in groups of their own. */
  chain(): { npm: number; bootstrap: number; supervisor: number } {
    const npm = this.npm.pid!;
    const bootstrap = descendant(npm, /bootstrap\.js/);
    const supervisor = descendant(bootstrap, /embedded\/start\.ts/);
    for (const pid of [bootstrap, supervisor]) this.#seen.add(pid);
    return { npm, bootstrap, supervisor };
  }

  /** Sends SIGINT to the whole process group, as a terminal does for Ctrl-C; gives the milliseconds until npm ended. */
  async interrupt(): Promise<number> {
    const startedAt = performance.now();
    process.kill(-this.npm.pid!, 'SIGINT');
    await this.untilEnded();
    return performance.now() - startedAt;
  }

  async untilEnded(): Promise<void> {
    if (this.npm.exitCode === null && this.npm.signalCode === null) await once(this.npm, 'exit');
  }

  /** Waits until no process is left that belonged to it: those seen in processes.json, and any that names its folder. */
  async untilNothingIsLeft(withinMs: number): Promise<void> {
    const left = (): number[] => [...[...this.#seen].filter(isRunning), ...processesNaming(this.dir)];
    await until(() => left().length === 0, `the end of ${left().map(commandLine).join('\n')}`, withinMs);
  }
}

function allProcesses(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0);
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return ''; // it has ended
  }
}

function processesNaming(dir: string): number[] {
  return allProcesses().filter((pid) => pid !== process.pid && commandLine(pid).includes(dir) && isRunning(pid));
}

function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return 0; // it has ended
  }
}

/** The process with such a command line that a process started, itself or through a shell. */
function descendant(ancestor: number, wanted: RegExp): number {
  const children = allProcesses().filter((pid) => parentOf(pid) === ancestor);
  const found = children.find((pid) => wanted.test(commandLine(pid)) && !/^sh /.test(commandLine(pid)));
  if (found) return found;
  for (const child of children) return descendant(child, wanted);
  throw new Error(`no process like ${wanted} below ${ancestor}`);
}
