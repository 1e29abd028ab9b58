import { createHash } from 'node:crypto';
import { createConnection, createServer, type Server } from 'node:net';
import { resolve } from 'node:path';

/** Another stack runs on the same state folder. */
export class StateInUse extends Error {
  constructor(dir: string, pid: string) {
    super(`A stack already runs on ${dir} (process ${pid}). End it first: Ctrl-C where it runs, or kill ${pid}`);
    this.name = 'StateInUse';
  }
}

/**
 * Takes a state folder for this process. The lock is an abstract socket (unix(7)): it goes with the process, however
 * that ends, and tells who asks for it the process that has it.
 * @returns what gives it back
 */
export async function lockState(dir: string): Promise<() => void> {
  const address = `\0siirays-sync-state-${createHash('sha256').update(resolve(dir)).digest('hex')}`;
  const server = createServer((socket) => socket.on('error', () => socket.destroy()).end(String(process.pid)));
  if (!(await listens(server, address))) throw new StateInUse(resolve(dir), await holder(address));
  server.unref();
  return () => server.close();
}

function listens(server: Server, address: string): Promise<boolean> {
  return new Promise((done, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? done(false) : reject(error)));
    server.listen(address, () => done(true));
  });
}

async function holder(address: string): Promise<string> {
  const socket = createConnection(address);
  socket.setTimeout(1000, () => socket.destroy());
  let pid = '';
  try {
    for await (const data of socket) pid += data;
  } catch {
    return 'just ending'; // it went while it was asked
  }
  return pid || 'busy';
}
