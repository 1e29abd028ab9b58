import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { type Command, type Guard, guarded } from './guarded-command.ts';
import { copyLines, openLog, tailOf } from './part-log.ts';
import { restartDelay, STABLE_AFTER_MS } from './restart-delay.ts';

/** How one part of the stack is run. */
export interface PartOptions extends Guard {
  name: string;
  command: Command;
  env?: Record<string, string | undefined>;
  cwd?: string;
  /** Standard output and error are appended here. */
  logFile: string;
  /** Answers whether the part can be used; polled until it says true. A thrown error means "not yet". */
  ready: () => Promise<boolean>;
  readyWithinMs: number;
  stopSignal: NodeJS.Signals;
  /** After this many milliseconds the whole process group is killed. */
  stopWithinMs: number;
  /** Runs before each start: settings files, leftovers of a killed predecessor. */
  prepare?: () => void | Promise<void>;
  /** Each line of standard output. */
  onLine?: (line: string) => void;
  /** Told when the process was started, became ready, ended, or is not ready in time after a restart. */
  onChange?: (change: PartChange) => void;
}

export type PartChange =
  | { event: 'started'; name: string; pid: number }
  | { event: 'ready'; name: string; pid: number; afterMs: number }
  | { event: 'ended'; name: string; how: string; againInMs: number }
  | { event: 'late'; name: string; reason: string };

/** A part's process ended before it could be used, or did not become usable in time. */
export class PartError extends Error {
  constructor(name: string, what: string, logFile: string) {
    super(`${name} ${what}. The end of ${logFile}:\n${tailOf(logFile)}`);
    this.name = 'PartError';
  }
}

const POLL_MS = 25;
const STARTS = 3;

/**
 * One process of the stack: in a process group of its own, so that a terminal's Ctrl-C reaches the supervisor alone;
 * ending with this process, however that ends; started again when it ends by itself.
 */
export class Part {
  readonly name: string;
  readonly #options: PartOptions;
  #stopped = new AbortController();
  #child: ChildProcess | undefined;
  #ended: Promise<string> = Promise.resolve('was not started');
  #supervision: Promise<void> = Promise.resolve();

  constructor(options: PartOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /** The process id, or undefined while there is no process. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Starts the process and waits until it is ready; from then on it is started again when it ends. It may end a few
   * times before: somebody may have killed it, or what it needs may just have been started again.
   */
  async start(): Promise<this> {
    this.#stopped = new AbortController();
    for (let failures = 0; ; failures++) {
      try {
        await this.#launch();
        await this.#untilReady();
        break;
      } catch (error) {
        if (this.#child || failures === STARTS - 1 || this.#stopped.signal.aborted) {
          await this.stop();
          throw error;
        }
        await wait(restartDelay(failures));
      }
    }
    this.#supervision = this.#supervise(this.#stopped.signal);
    return this;
  }

  /** Sends a signal to the process, as if somebody else had. Whether there was one. */
  kill(signal: NodeJS.Signals): boolean {
    return this.#child?.kill(signal) ?? false;
  }

  /** Waits until the process runs and is ready, after a restart for example. */
  async whenReady(withinMs = this.#options.readyWithinMs): Promise<void> {
    const deadline = Date.now() + withinMs;
    while (!this.#child || !(await this.#isReady())) {
      if (Date.now() > deadline) throw new PartError(this.name, 'did not become ready', this.#options.logFile);
      await wait(POLL_MS);
    }
  }

  /** Ends the process, until start() is called: the part's stop signal, in the end SIGKILL to its group. */
  async stop(signal: NodeJS.Signals = this.#options.stopSignal): Promise<void> {
    this.#stopped.abort();
    const child = this.#child;
    if (child) {
      child.kill(signal);
      const late = setTimeout(() => killGroup(child.pid), this.#options.stopWithinMs);
      await this.#ended;
      clearTimeout(late);
    }
    await this.#supervision;
  }

  async #launch(): Promise<void> {
    await this.#options.prepare?.();
    if (this.#stopped.signal.aborted) return;
    const { name, command, env, cwd, logFile, onLine, onChange } = this.#options;
    const { file, args } = guarded(command, this.#options);
    const log = openLog(logFile);
    const child = spawn(file, args, {
      cwd,
      env: { ...process.env, ...env },
      detached: true,
      stdio: ['ignore', onLine ? 'pipe' : log, log],
    });
    closeSync(log);
    if (onLine) copyLines(child, logFile, onLine);
    this.#child = child;
    this.#ended = new Promise((resolve) => {
      const end = (how: string): void => {
        killGroup(child.pid);
        this.#child = undefined;
        resolve(how);
      };
      child.once('error', (error) => end(`could not be run: ${error.message}`));
      child.once('exit', (code, signal) => end(signal ? `was ended by ${signal}` : `ended with exit code ${code}`));
    });
    if (child.pid !== undefined) onChange?.({ event: 'started', name, pid: child.pid });
  }

  async #untilReady(): Promise<void> {
    const { name, logFile, readyWithinMs, onChange } = this.#options;
    const startedAt = Date.now();
    let how: string | undefined;
    this.#ended.then((end) => {
      how = end;
    });
    while (!(await this.#isReady())) {
      if (how !== undefined) throw new PartError(name, how, logFile);
      const waited = Date.now() - startedAt;
      if (waited > readyWithinMs) throw new PartError(name, `was not ready after ${readyWithinMs / 1000} s`, logFile);
      await wait(POLL_MS);
    }
    if (this.pid !== undefined) onChange?.({ event: 'ready', name, pid: this.pid, afterMs: Date.now() - startedAt });
  }

  async #isReady(): Promise<boolean> {
    try {
      return await this.#options.ready();
    } catch {
      return false; // refused connections and the like: the part is still starting
    }
  }

  async #supervise(signal: AbortSignal): Promise<void> {
    const { name, onChange } = this.#options;
    let failures = 0;
    let startedAt = Date.now();
    while (true) {
      const how = await this.#ended;
      if (signal.aborted) return;
      if (Date.now() - startedAt > STABLE_AFTER_MS) failures = 0;
      const againInMs = restartDelay(failures++);
      onChange?.({ event: 'ended', name, how, againInMs });
      await Promise.race([wait(againInMs), new Promise((resolve) => signal.addEventListener('abort', resolve))]);
      startedAt = Date.now();
      // Whether it becomes ready is told, not enforced: as long as it runs, it may still come.
      const late = (error: Error): void => {
        if (!signal.aborted) onChange?.({ event: 'late', name, reason: error.message });
      };
      await this.#launch().then(() => void this.#untilReady().catch(late), late);
      if (signal.aborted) return await this.#endLateLaunch();
    }
  }

  /** A stop that came while the process was being launched has not seen it. */
  async #endLateLaunch(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    killGroup(child.pid);
    await this.#ended;
  }
}

/** Ends what is left of a part's process group, by the id of its process. */
export function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
