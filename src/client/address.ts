// Where a client has reached this proxy: what it would take for the server's own address.

import type { Session } from './session.ts';

/** Over a unix socket the host is empty and the port 0. An IPv4 address has its plain form. */
export function reachedAt({ localAddress }: Session): { host: string; port: number } {
  const found = /^\[?(?:::ffff:)?([^[\]/]+?)\]?:(\d+)$/.exec(localAddress);
  return found === null ? { host: '', port: 0 } : { host: found[1]!, port: Number(found[2]) };
}
