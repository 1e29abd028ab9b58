import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Missing } from './missing.js';
import { mustRun, run } from './step.js';

/** The full path of a program, in PATH or in the folders of system programs, or undefined. */
export function findProgram(name) {
  const folders = (process.env.PATH ?? '').split(delimiter).concat('/usr/sbin', '/usr/bin', '/sbin', '/bin');
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false; // the answer, not a failure
  }
}

/** Installs packages through apt-get; ends with a message where that is not possible. */
export async function installDebianPackages(packages) {
  const names = packages.join(' ');
  const command = `sudo apt-get update && sudo apt-get install -y ${names}`;
  if (!findProgram('apt-get')) {
    throw new Missing(
      `${names}: missing, and this is no Debian system. Install it with the system's own means.`,
      command,
    );
  }
  if (process.getuid() !== 0) throw new Missing(`${names}: missing, and only root can install it.`, command);
  // RUNLEVEL=1: the package's service is not started, we want the program only (invoke-rc.d(8)).
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const lock = ['-o', 'DPkg::Lock::Timeout=300'];
  // Lists of one source may fail while the others hold the package: only the installation decides.
  await run('apt-get', ['update', ...lock], { env });
  await mustRun(
    `${names}: missing, and could not be installed`,
    command,
    'apt-get',
    ['install', '-y', '--no-install-recommends', ...lock, ...packages],
    { env },
  );
}
