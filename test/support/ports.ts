/**
 * Free loopback ports for servers that are to be started.
 *
 * They lie below the range from which the system takes the ports of outgoing connections, so that none of
 * those is in the way; a Redis node also needs port + 10000 for its cluster bus. Between the look and the
 * use another process may take a port: whoever starts a server must be ready to try another one.
 */

import { createServer } from 'node:net';

const FIRST = 11_000;
const LAST = 19_999;
/** Where a node's cluster bus listens, above its port. */
export const BUS = 10_000;

const given = new Set<number>();

/** A port on which nobody listens at `host`; with `bus`, one whose bus port is free, too. */
export async function freePort(host = '127.0.0.1', bus = false): Promise<number> {
  for (let tries = 0; tries < 500; tries++) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1));
    if (given.has(port)) continue;
    if (!(await isFree(port, host)) || (bus && !(await isFree(port + BUS, host)))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`no free port between ${FIRST} and ${LAST} on ${host}`);
}

export function isFree(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, host, () => server.close(() => resolve(true)));
  });
}
