import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import { writeJson } from './atomic-file.ts';
import { type PortName, type Ports, USUAL_PORTS } from './names.ts';

/**
 * A port for each part: the one it had the last time, else (`usual`) the one known for such a program, else any; taken
 * ones are passed over. What was chosen is kept in the state folder.
 */
export async function choosePorts(dir: string, wanted: 'usual' | 'free'): Promise<Ports> {
  const file = join(dir, 'ports.json');
  const last: Partial<Ports> = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
  const ports: Partial<Ports> = {};
  for (const name of Object.keys(USUAL_PORTS) as PortName[]) {
    ports[name] = await freePort(last[name] ?? (wanted === 'usual' ? USUAL_PORTS[name] : undefined));
  }
  writeJson(file, ports);
  return ports as Ports;
}
