// Idle clients: opens many connections to an endpoint and holds them until standard input ends.
//
// Each client has one PING and one GET answered first, so that it is known to be accepted and has whatever an
// endpoint makes for a client at its first command. Prints how many are open; the runner looks at the
// endpoint's memory before and after.

import { connect, type Socket } from 'node:net';

const QUESTION = Buffer.from('*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$14\r\nbench:no-value\r\n');
const ANSWER = '+PONG\r\n$-1\r\n';
/** Connections being opened at a time: below the usual backlog of a listener. */
const WINDOW = 100;
const PATIENCE_MS = 10_000;

export interface IdleResult {
  readonly open: number;
}

/** Opens `connections` clients; rejects with the first that is refused or gets a wrong reply. */
export async function idle(job: { host: string; port: number; connections: number }): Promise<IdleResult> {
  const sockets: Socket[] = [];
  process.stdin.resume();
  process.stdin.once('end', () => process.exit());
  try {
    while (sockets.length < job.connections) {
      const window = Math.min(WINDOW, job.connections - sockets.length);
      sockets.push(...(await Promise.all(Array.from({ length: window }, () => open(job.host, job.port)))));
    }
  } catch (error) {
    for (const socket of sockets) socket.destroy();
    process.stdin.destroy();
    throw new Error(`after ${sockets.length} clients: ${(error as Error).message}`);
  }
  return { open: sockets.length };
}

function open(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    let answer = '';
    socket.once('connect', () => socket.write(QUESTION));
    socket.on('data', (bytes) => {
      answer += bytes.toString('latin1');
      if (answer === ANSWER) {
        socket.setTimeout(0);
        resolve(socket);
      } else if (!ANSWER.startsWith(answer)) reject(new Error(`wrong reply: ${JSON.stringify(answer)}`));
    });
    socket.setTimeout(PATIENCE_MS, () => reject(new Error(`no reply in ${PATIENCE_MS} ms`)));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the endpoint closed the connection')));
  });
}
