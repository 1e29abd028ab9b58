import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';

/** What the proxy does with a call. */
export type Treatment =
  | 'pass'
  /** The call is carried out, its answer never arrives. */
  | 'lose'
  /** The answer waits. */
  | { hold: Promise<unknown> }
  /** Half of the answer comes; the rest waits. */
  | { half: Promise<unknown> }
  /** Something in between answers. */
  | { status: number; headers?: Record<string, string>; body?: string };

export interface Proxy {
  url: string;
  /** Method and path with query of every call so far. */
  calls: string[];
  /** Decides about each call; by default all pass. */
  treat: (call: string) => Treatment;
}

/** Stands between client and service, and has accidents. */
export async function startProxy(upstream: string): Promise<Proxy> {
  const proxy: Proxy = { url: '', calls: [], treat: () => 'pass' };
  const server = createServer((incoming, outgoing) => {
    const call = `${incoming.method} ${incoming.url}`;
    proxy.calls.push(call);
    const treatment = proxy.treat(call);
    if (typeof treatment === 'object' && 'status' in treatment) {
      incoming.resume();
      outgoing.writeHead(treatment.status, treatment.headers).end(treatment.body);
      return;
    }
    forward(upstream, incoming, outgoing, treatment).catch(() => outgoing.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  return proxy;
}

async function forward(upstream: string, incoming: IncomingMessage, outgoing: ServerResponse, treatment: Treatment) {
  const { method, headers, url } = incoming;
  const onward = request(upstream + url, { method, headers, agent: false });
  incoming.pipe(onward);
  const [answer] = (await once(onward, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  if (treatment === 'lose') {
    outgoing.destroy();
    return;
  }
  if (typeof treatment === 'object' && 'hold' in treatment) await treatment.hold;
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
  const body = Buffer.concat(chunks);
  const first = typeof treatment === 'object' && 'half' in treatment ? body.length >> 1 : 0;
  if (first > 0) {
    outgoing.write(body.subarray(0, first));
    await (treatment as { half: Promise<unknown> }).half;
  }
  outgoing.end(body.subarray(first));
}
