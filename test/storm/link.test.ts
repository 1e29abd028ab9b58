import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import { freePort } from '../../embedded/free-port.ts';
import { EndTxnHold } from '../../storm/proxy/end-txn-hold.ts';
import { API } from '../../storm/proxy/kafka-frames.ts';
import { Link } from '../../storm/proxy/link.ts';
import { until } from '../support/until.ts';

/** A server that keeps what each connection said, in the order in which it came. */
async function listener(): Promise<{ port: number; heard: Buffer[] }> {
  const heard: Buffer[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (piece) => {
      heard.push(piece);
      if (socket.writable) socket.write(piece);
    });
  });
  const port = await freePort();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port, heard };
}

async function linked(hold?: EndTxnHold) {
  const behind = await listener();
  const link = await Link.open('kafka', await freePort(), behind.port, hold);
  after(() => link.close());
  const client = async (): Promise<Socket & { got: string }> => {
    const socket = Object.assign(connect(link.port, '127.0.0.1'), { got: '' });
    socket.on('error', () => undefined);
    socket.on('data', (piece) => {
      socket.got += piece.toString();
    });
    await once(socket, 'connect');
    return socket;
  };
  return { link, client, heard: behind.heard };
}

function request(key: number, text: string): Buffer {
  const frame = Buffer.alloc(6 + text.length);
  frame.writeInt32BE(2 + text.length, 0);
  frame.writeInt16BE(key, 4);
  frame.write(text, 6);
  return frame;
}

describe('a link', () => {
  test('passes everything on, both ways, until it is cut', async () => {
    const { link, client } = await linked();
    const socket = await client();
    socket.write('hola');
    await until(() => socket.got === 'hola', 'the answer');
    link.cut();
    await until(() => socket.destroyed, 'the end');
  });

  test('holds everything in a black hole and lets all of it come afterwards', async () => {
    const { link, client, heard } = await linked();
    const socket = await client();
    const over = link.blackHole(300);
    socket.write('uno');
    await until(() => socket.bytesWritten === 3, 'the request to be sent');
    assert.equal(heard.length, 0);
    await over;
    await until(() => socket.got === 'uno', 'the answer');
  });

  test('cuts after so many bytes, in the middle of a piece', async () => {
    const { link, client, heard } = await linked();
    const socket = await client();
    link.cutAfter(3);
    socket.write('abcdef');
    await until(() => socket.destroyed, 'the end');
    assert.ok(Buffer.concat(heard).length <= 3);
  });

  test('holds a commit back, cuts its client off, and lets it through in the middle of the next transaction', async () => {
    const hold = new EndTxnHold();
    const { client, heard } = await linked(hold);
    const said = () =>
      Buffer.concat(heard)
        .toString('latin1')
        .replaceAll(/[^A-Za-z]/g, '');
    const zombie = await client();
    const released = hold.next();
    zombie.write(request(API.endTxn, 'OldCommit'));
    await until(() => zombie.destroyed, 'the client to be cut off');
    assert.equal(said(), '');
    const next = await client();
    next.write(request(API.addPartitionsToTxn, 'Begin'));
    await until(() => said() === 'Begin', 'the next transaction');
    const produce = request(API.produce, 'Produce');
    next.write(produce.subarray(0, 5));
    next.write(produce.subarray(5));
    assert.deepEqual(await released, { inNextTransaction: true });
    await until(() => said().length === 'BeginProduceOldCommit'.length, 'both');
    next.write(request(API.endTxn, 'NewCommit'));
    await until(() => said().endsWith('NewCommit'), 'the next commit, which nobody holds');
    assert.ok(said().indexOf('OldCommit') > said().indexOf('Begin'));
  });
});
