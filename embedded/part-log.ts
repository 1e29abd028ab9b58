import type { ChildProcess } from 'node:child_process';
import { createWriteStream, mkdirSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';

const LIMIT_BYTES = 20 * 1024 * 1024;

/** Opens a part's log for appending, 0600; a full one is put aside as `<file>.1`. Returns the file descriptor. */
export function openLog(file: string): number {
  mkdirSync(dirname(file), { recursive: true });
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LIMIT_BYTES) renameSync(file, `${file}.1`);
  return openSync(file, 'a', 0o600);
}

/** The last lines of a log, for a message. */
export function tailOf(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-15).join('\n');
}

/** Writes a child's standard output to the log and hands over each line. */
export function copyLines(child: ChildProcess, file: string, onLine: (line: string) => void): void {
  const log = createWriteStream(file, { flags: 'a' });
  const lines = createInterface({ input: child.stdout! });
  lines.on('line', (line) => {
    log.write(`${line}\n`);
    onLine(line);
  });
  lines.on('close', () => log.end());
}
