import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

/**
 * Does the work while no other process does work under the same name. The lock is an abstract socket (unix(7)): it goes
 * with its process, however that ends.
 */
export async function withLock(name, work) {
  const address = `\0siirays-sync-${createHash('sha256').update(name).digest('hex')}`;
  let server = await tryLock(address);
  while (!server) {
    await wait(200);
    server = await tryLock(address);
  }
  try {
    return await work();
  } finally {
    server.close();
  }
}

function tryLock(address) {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)));
    server.listen(address, () => resolve(server));
  });
}
