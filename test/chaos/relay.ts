/** A TCP relay in front of a node, which hands on what the node says later than it came: a node far away, or slow. */

import { connect, createServer, type Server, type Socket } from 'node:net';
import { freePort } from '../support/ports.ts';

export class Relay {
  readonly port: number;
  /** How much later, ms. */
  delay = 0;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  static async open(to: number): Promise<Relay> {
    const relay = new Relay(await freePort(), to);
    await new Promise<void>((resolve, reject) => {
      relay.server.once('error', reject);
      relay.server.listen(relay.port, '127.0.0.1', resolve);
    });
    return relay;
  }

  private constructor(port: number, to: number) {
    this.port = port;
    this.server = createServer((near) => {
      const far = connect(to, '127.0.0.1');
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.sockets.add(socket);
        socket.setNoDelay(true);
        socket.on('error', () => {});
        socket.on('close', () => {
          this.sockets.delete(socket);
          other.destroy();
        });
      }
      near.on('data', (chunk) => far.write(chunk));
      // Whichever timer ends first takes what came first, so the bytes keep their order when the delay changes.
      const late: Buffer[] = [];
      far.on('data', (chunk: Buffer) => {
        if (this.delay === 0 && late.length === 0) {
          near.write(chunk);
          return;
        }
        late.push(chunk);
        setTimeout(() => near.write(late.shift()!), this.delay);
      });
    });
  }

  close(): void {
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
  }
}
