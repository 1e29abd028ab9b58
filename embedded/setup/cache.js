import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** Where downloaded parts are kept, outside every checkout (XDG Base Directory Specification). */
export function cacheDir() {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'siirays-sync');
}

/**
 * A folder of the cache, filled by `fill` when it is missing. It is filled under another name and then renamed: a
 * killed set-up leaves nothing half made, and of two that run at once the second finds the first one's.
 * @param {string} name of the folder; it holds the version
 * @param {(folder: string) => Promise<void>} fill
 * @returns {Promise<string>} the folder's path
 */
export async function cached(name, fill) {
  const folder = join(cacheDir(), name);
  if (existsSync(folder)) return folder;
  mkdirSync(dirname(folder), { recursive: true });
  const unfinished = mkdtempSync(`${folder}.new-`);
  try {
    await fill(unfinished);
    renameSync(unfinished, folder);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}
