import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { tempDir } from '../test/support/temp-dir.ts';
import { applyMutant, type Mutant } from './mutant.ts';

/** A copy of the project in a folder of its own, in which one guard after the other is missing. */
export class WorkCopy {
  readonly path: string;
  readonly #remove: () => void;

  /** Copies what git knows or would take; the packages are shared. */
  constructor(root: string) {
    const { path, remove } = tempDir('mutants');
    this.path = path;
    this.#remove = remove;
    const { stdout, status } = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      cwd: root,
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error('git ls-files failed: the mutants are made from a checkout');
    for (const file of stdout.split('\0').filter((name) => name !== '')) {
      mkdirSync(dirname(join(path, file)), { recursive: true });
      cpSync(join(root, file), join(path, file), { force: true });
    }
    symlinkSync(join(root, 'node_modules'), join(path, 'node_modules'));
  }

  /** Runs `work` while the mutant's guard is missing. */
  async without<T>(mutant: Mutant, work: () => Promise<T>): Promise<T> {
    const file = join(this.path, mutant.file);
    const whole = readFileSync(file, 'utf8');
    writeFileSync(file, applyMutant(whole, mutant));
    try {
      return await work();
    } finally {
      writeFileSync(file, whole);
    }
  }

  remove(): void {
    this.#remove();
  }
}
