import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from '../tools.ts';

export const USAGE = `npm start -- [options]
  --fresh           forgets all state first
  --epsas N         size of a new SIIRAyS (3000)
  --section-rows N  at most so many rows of sections an EPSA (all, about 40)
  --seed N          other sample rows, the same for the same N
  --traffic N       plays SIIRAyS's users with N transactions a second (0)
  --dir FOLDER      the state folder (.dev)
  --free-ports      any free ports in place of the usual ones`;

export interface StartOptions {
  dir: string;
  ports: 'usual' | 'free';
  fresh: boolean;
  epsas: number;
  sectionRows?: number;
  seed?: number;
  traffic: number;
}

const FLAGS = {
  fresh: { type: 'boolean', default: false },
  epsas: { type: 'string', default: '3000' },
  seed: { type: 'string' },
  'section-rows': { type: 'string' },
  traffic: { type: 'string', default: '0' },
  dir: { type: 'string', default: join(ROOT, '.dev') },
  'free-ports': { type: 'boolean', default: false },
} as const;

/** The options of `npm start`, or what is wrong with them. */
export function readOptions(args: string[]): StartOptions | string {
  try {
    const { values } = parseArgs({ args, options: FLAGS });
    const optional = (name: 'seed' | 'section-rows'): number | undefined =>
      values[name] === undefined ? undefined : wholeNumber(name, values[name]);
    const { fresh, dir } = values;
    const ports = values['free-ports'] ? 'free' : 'usual';
    const content = { epsas: wholeNumber('epsas', values.epsas), seed: optional('seed') };
    const sectionRows = optional('section-rows');
    return { dir, ports, fresh, ...content, sectionRows, traffic: rate(values.traffic) };
  } catch (error) {
    return (error as Error).message;
  }
}

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,7}$/.test(text)) throw new Error(`--${name} must be a whole number, not ${text}`);
  return Number(text);
}

function rate(text: string): number {
  if (!/^\d{1,5}(\.\d+)?$/.test(text)) throw new Error(`--traffic must be a number, not ${text}`);
  return Number(text);
}
