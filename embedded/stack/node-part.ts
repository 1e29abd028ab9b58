import { Part, type PartOptions } from '../part.ts';
import { ROOT } from '../tools.ts';
import { type Environment, withoutOwn } from './pipeline-environment.ts';

export interface NodePartOptions {
  name: string;
  /** The program, seen from the checkout's root, with its arguments. */
  program: string[];
  env: Environment;
  logFile: string;
  /** Its health address, where it has one: it is ready once it answers. */
  healthUrl?: string;
  onLine?: (line: string) => void;
  onChange?: PartOptions['onChange'];
}

/** A part that is a program of this project, run by the Node that runs this. */
export function nodePart({ name, program, env, logFile, healthUrl, onLine, onChange }: NodePartOptions): Part {
  return new Part({
    name,
    command: { file: process.execPath, args: ['--disable-warning=TimeoutNegativeWarning', ...program] },
    cwd: ROOT,
    env: { ...withoutOwn(), ...env },
    deathSignal: 'KILL',
    logFile,
    ready: async () => !healthUrl || (await fetch(healthUrl, { signal: AbortSignal.timeout(2000) })).ok,
    readyWithinMs: 60_000,
    stopSignal: 'SIGTERM',
    stopWithinMs: 2500,
    onLine,
    onChange,
  });
}
