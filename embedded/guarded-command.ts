import { spawnSync } from 'node:child_process';
import { accessSync, chownSync, constants, lstatSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A program with its arguments. */
export interface Command {
  file: string;
  args: string[];
}

/** How a part's process is run. */
export interface Guard {
  /** The signal that the kernel sends to the process when the supervisor ends, however that ends. */
  deathSignal: 'KILL' | 'QUIT' | 'TERM';
  /** For programs that refuse root (PostgreSQL, PgBouncer): the files that such a program must own. */
  withoutRoot?: string[];
}

// The death signal is set by the child itself. A supervisor that died before that would never be noticed, hence the
// second look at the parent, after which the shell becomes the program.
const SAME_PARENT = '[ "$PPID" = "$0" ] || exit 1; exec "$@"';

const NAMESPACE = ['--user', '--map-user=1000', '--map-group=1000', '--'];
const FALLBACK_USER = 65534;

let namespaces: boolean | undefined;

/** Whether this machine lets us make user namespaces (user_namespaces(7)); some containers do not. */
function hasNamespaces(): boolean {
  namespaces ??= spawnSync('unshare', [...NAMESPACE, 'true'], { stdio: 'ignore' }).status === 0;
  return namespaces;
}

function chownAll(path: string, id: number): void {
  chownSync(path, id, id);
  if (!lstatSync(path).isDirectory()) return;
  for (const entry of readdirSync(path)) chownAll(join(path, entry), id);
}

/** The full path of a program, looked up as a shell does it and in the folders of system programs, or undefined. */
export function findProgram(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).concat('/usr/sbin', '/usr/bin', '/sbin', '/bin');
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false; // the answer, not a failure
  }
}

/**
 * Wraps a command so that it ends with this process: `setpriv --pdeathsig` (prctl(2), PR_SET_PDEATHSIG).
 *
 * As root, a program that refuses root is put into a user namespace of its own, in which root's files belong to an
 * ordinary user: so it works wherever the checkout is, in root's home too, and no file changes its owner. Where
 * namespaces are forbidden it runs as `nobody`, who is given the files.
 */
export function guarded(command: Command, guard: Guard): Command {
  const program = ['sh', '-c', SAME_PARENT, String(process.pid), command.file, ...command.args];
  const death = ['--pdeathsig', guard.deathSignal];
  if (!guard.withoutRoot || process.getuid?.() !== 0) return { file: 'setpriv', args: [...death, '--', ...program] };
  if (hasNamespaces()) return { file: 'unshare', args: [...NAMESPACE, 'setpriv', ...death, '--', ...program] };
  for (const path of guard.withoutRoot) chownAll(path, FALLBACK_USER);
  const user = [`--reuid=${FALLBACK_USER}`, `--regid=${FALLBACK_USER}`, '--clear-groups'];
  return { file: 'setpriv', args: [...user, ...death, '--', ...program] };
}
