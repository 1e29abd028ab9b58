import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after } from 'node:test';
import { ROOT } from '../../embedded/tools.ts';
import { isRunning } from './processes.ts';
import { until } from './until.ts';

export interface LogLine {
  event?: string;
  msg: string;
  [field: string]: unknown;
}

/** `siirays-sync <command>` as an operator runs it; ended after the test or suite. */
export class CliProcess {
  readonly lines: LogLine[] = [];
  /** What was written that is no log line. */
  text = '';
  readonly #child: ChildProcess;

  constructor(args: string[], env: Record<string, string>) {
    const node = ['--disable-warning=TimeoutNegativeWarning', 'src/cli.ts', ...args];
    this.#child = spawn(process.execPath, node, { cwd: ROOT, env: { PATH: process.env.PATH, ...env } });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        const entry = logLine(line);
        if (entry) this.lines.push(entry);
        else this.text += `${line}\n`;
      });
    }
    after(() => this.stop());
  }

  /** Waits for a log line. */
  async untilLine(matches: (line: LogLine) => boolean, what: string, withinMs = 30_000): Promise<LogLine> {
    const found = await until(() => this.lines.find(matches), what, withinMs).catch((error: Error) => {
      throw new Error(`${error.message}; it said: ${this.lines.map(({ msg }) => msg).join(' | ')} ${this.text}`);
    });
    return found!;
  }

  /** The exit code, once it has ended; null where a signal ended it. */
  async exitCode(): Promise<number | null> {
    if (this.running) await once(this.#child, 'exit');
    return this.#child.exitCode;
  }

  /** As somebody else would send it. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Whether it runs (or is stopped by SIGSTOP). */
  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async stop(): Promise<void> {
    if (!this.running || !isRunning(this.#child.pid!)) return;
    this.#child.kill('SIGTERM');
    // One that stands still hears of it only now.
    this.#child.kill('SIGCONT');
    await once(this.#child, 'exit');
  }
}

function logLine(line: string): LogLine | null {
  try {
    const entry = JSON.parse(line) as LogLine | null;
    return typeof entry?.msg === 'string' ? entry : null;
  } catch {
    return null;
  }
}
