import { renameSync, writeFileSync } from 'node:fs';

/** Writes a JSON file so that a reader sees the old one or the new one, never half of it. */
export function writeJson(file: string, value: unknown, mode = 0o644): void {
  const unfinished = `${file}.${process.pid}`;
  writeFileSync(unfinished, `${JSON.stringify(value, null, 2)}\n`, { mode });
  renameSync(unfinished, file);
}
