import { readFileSync } from 'node:fs';

const POLL_MS = 250;

/**
 * Calls back once the npm that runs this script has ended. npm cannot pass on a SIGKILL, and a shell may stand between
 * it and us: so each link of the chain of parents up to npm is watched. Without npm nobody is: a person may well start
 * this in the background and close the terminal.
 */
export function whenNpmEnds(callback) {
  if (process.env.npm_lifecycle_event === undefined) return;
  const chain = chainToNpm();
  if (!chain) return;
  const timer = setInterval(() => {
    if (chain.every(([pid, parent]) => parentOf(pid) === parent)) return;
    clearInterval(timer);
    callback();
  }, POLL_MS);
  timer.unref();
}

/** Pairs of a process and its parent, from this process up to npm. */
function chainToNpm() {
  const chain = [];
  for (let pid = process.pid; chain.length < 5; ) {
    const parent = parentOf(pid);
    if (parent === undefined || parent <= 1) return undefined;
    chain.push([pid, parent]);
    if (/^npm\b|\/npm(-cli\.js)?\0/.test(readProc(parent, 'cmdline') ?? '')) return chain;
    pid = parent;
  }
  return undefined;
}

function parentOf(pid) {
  // proc(5): the name in parentheses may hold anything; the state and the parent's id follow.
  const stat = readProc(pid, 'stat');
  return stat === undefined ? undefined : Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

function readProc(pid, file) {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined; // it has ended
  }
}
