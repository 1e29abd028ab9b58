import { createServer } from 'node:net';

// Below the range that Linux takes the ports of outgoing connections from (32768 and up, ip(7)): a part that is
// started again finds its port free.
const LOWEST = 15_000;
const HIGHEST = 32_000;

const given = new Set<number>();

/** Whether nobody listens on this port of the loopback interface. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false);
      else reject(error);
    });
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** The wanted port of the loopback interface if it is free, else any free one that this process was not given before. */
export async function freePort(wanted?: number): Promise<number> {
  if (wanted !== undefined && (await isFree(wanted))) return wanted;
  let port = randomPort();
  while (given.has(port) || !(await isFree(port))) port = randomPort();
  given.add(port);
  return port;
}

function randomPort(): number {
  return LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
}
