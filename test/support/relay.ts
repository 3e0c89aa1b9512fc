/**
 * A TCP relay in front of a node, which does to connections what networks do: they become slow, or swallow
 * everything without a word. Reached through the proxy's `natMap`.
 *
 *   proxy <---> relay <---> node
 */

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  /** Nothing passes any more. */
  swallows: boolean;
}

export class Relay {
  port = 0;
  private readonly server: Server;
  private readonly pairs = new Set<Pair>();
  /** While this is set nothing passes on any connection; what has come then follows. */
  private held: Promise<void> | undefined;
  private release: () => void = () => {};

  private constructor(target: number) {
    this.server = createServer({ noDelay: true }, (near) => {
      const far = connect({ port: target, host: '127.0.0.1', noDelay: true });
      const pair: Pair = { near, far, swallows: false };
      this.pairs.add(pair);
      this.pass(pair, near, far);
      this.pass(pair, far, near);
    });
  }

  /** Listens on a free port, before the node at `target`. */
  static async before(target: number): Promise<Relay> {
    const relay = new Relay(target);
    relay.server.listen(0, '127.0.0.1');
    await once(relay.server, 'listening');
    relay.port = (relay.server.address() as { port: number }).port;
    return relay;
  }

  /** Nothing passes until `resume`. */
  hold(): void {
    this.held = new Promise((resolve) => {
      this.release = resolve;
    });
  }

  resume(): void {
    this.held = undefined;
    this.release();
  }

  /** From now on what is sent on the connections that there are vanishes. New ones are well. */
  swallow(): void {
    for (const pair of this.pairs) pair.swallows = true;
  }

  /** The node's end of the connections that there are is closed, and nobody on the near side hears of it. */
  closeFar(): void {
    this.swallow();
    for (const { far } of this.pairs) far.destroy();
  }

  close(): void {
    this.resume();
    for (const { near, far } of this.pairs) {
      near.destroy();
      far.destroy();
    }
    this.server.close();
  }

  private pass(pair: Pair, from: Socket, to: Socket): void {
    from.on('error', () => {});
    from.on('data', async (chunk: Buffer) => {
      // Those that wait for the same thing go on in their order.
      while (this.held !== undefined) await this.held;
      if (!pair.swallows && !to.destroyed) to.write(chunk);
    });
    from.on('close', () => {
      if (pair.swallows) return;
      to.destroy();
      this.pairs.delete(pair);
    });
  }
}
