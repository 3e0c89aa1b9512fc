// How a connection to a node is made: the one place that knows of sockets' options, and of what they read into.

import { connect, type Socket } from 'node:net';
import type { Receiver } from './receiver.ts';

/** Where a node is, and after what silence TCP asks whether it is still there (ms, 0: never). */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly keepAlive: number;
}

/** Begins to connect. What comes is read into the receiver's buffers and given to `read`. A `host` may be a path. */
export function connectTo(
  { host, port, keepAlive }: Address,
  receiver: Receiver,
  read: (chunk: Buffer, length: number) => void,
): Socket {
  return connect({
    ...(host.startsWith('/') ? { path: host } : { host, port }),
    noDelay: true,
    keepAlive: keepAlive > 0,
    keepAliveInitialDelay: keepAlive,
    onread: {
      buffer: () => receiver.buffer(),
      callback: (length: number, buffer: Uint8Array) => {
        read(buffer as Buffer, length);
        return true;
      },
    },
  });
}
