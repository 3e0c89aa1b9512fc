/** Bytes sent on a connection of their own, and all that comes back until it is closed. */

import { connect } from 'node:net';

const CLOSED_WITHIN_MS = 5000;

/** What a server says to `input`, after which our side ends. Ids of connections, in HELLO's reply, are masked. */
export async function everything(port: number, input: Buffer): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  // Who closes on a violation resets what we still send; the reply has come by then.
  socket.on('error', () => {});
  socket.setTimeout(CLOSED_WITHIN_MS, () => {
    chunks.push(Buffer.from('(the connection was not closed)'));
    socket.destroy();
  });
  socket.end(input);
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(chunks)
    .toString('latin1')
    .replace(/\$2\r\nid\r\n:\d+\r\n/g, '(id)');
}
