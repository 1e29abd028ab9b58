import type { Run } from '../reconciler/types.ts';

/** What a terminal is to this: standard error, or a test's own. */
export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const BAR = 24;
/** Without a terminal a line is written this often at most. */
const LINE_MS = 5_000;

/** Shows how far a run is: one line that changes on a terminal, now and then a line elsewhere. */
export class ProgressLine {
  readonly #terminal: Terminal;
  readonly #quiet: boolean;
  readonly #now: () => number;
  #startedAt = 0;
  #told = '';
  #toldAt = Number.NEGATIVE_INFINITY;
  #open = false;

  constructor(terminal: Terminal, quiet: boolean, now: () => number = () => performance.now()) {
    this.#terminal = terminal;
    this.#quiet = quiet;
    this.#now = now;
  }

  begin({ id, options }: Run): void {
    this.#startedAt = this.#now();
    const what = `${options.mode}${options.direct ? ', direct' : ''}`;
    if (!this.#quiet) this.#terminal.write(`run ${id}: ${what}, ${options.connectors.join(', ')}\n`);
  }

  show(run: Run): void {
    if (this.#quiet || run.state !== 'running') return;
    if (this.#terminal.isTTY) {
      const text = describeProgress(run, this.#now() - this.#startedAt, true).slice(
        0,
        (this.#terminal.columns ?? 80) - 1,
      );
      this.#terminal.write(`\r\x1b[K${text}`);
      this.#open = true;
      return;
    }
    const { phase, connector } = run.progress;
    const place = `${phase} ${connector}`;
    if (place === this.#told && this.#now() - this.#toldAt < LINE_MS) return;
    this.#told = place;
    this.#toldAt = this.#now();
    this.#terminal.write(`${describeProgress(run, this.#now() - this.#startedAt, false)}\n`);
  }

  end(): void {
    if (this.#open) this.#terminal.write('\r\x1b[K');
    this.#open = false;
  }
}

/** Phase, bar, counts, rate and time left, as far as they are known. */
export function describeProgress({ progress }: Run, ms: number, bar: boolean): string {
  const { phase, connector, table, rows, rowsTotal, documents, documentsTotal } = progress;
  const ofRows = phase === 'rows' || (documents === 0 && rows > 0);
  const [done, total] = ofRows ? [rows, rowsTotal] : [documents, documentsTotal];
  const share = total > 0 ? Math.min(1, done / total) : 0;
  const parts = [connector ? `${connector}: ${phase}` : phase];
  if (table) parts.push(table);
  if (bar && total > 0) parts.push(`[${'#'.repeat(Math.round(share * BAR)).padEnd(BAR, '.')}]`);
  const what = ofRows ? 'rows' : 'documents';
  if (done > 0) parts.push(`${count(done)}${total > 0 ? ` of about ${count(Math.max(done, total))}` : ''} ${what}`);
  const rate = ms > 0 ? ((rows + documents) * 1000) / ms : 0;
  if (rate > 0) parts.push(`${count(Math.round(rate))}/s`);
  if (rate > 0 && total > done) parts.push(`${duration(((total - done) / rate) * 1000)} left`);
  return parts.join('  ');
}

export function count(n: number): string {
  return n.toLocaleString('en-US');
}

/** e.g. 0.4 s, 12 s, 3 min 5 s, 2 h 10 min */
export function duration(ms: number): string {
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
