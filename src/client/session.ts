// What the server would remember of a connection, and the proxy remembers in its place.

import type { Socket } from 'node:net';
import type { Lane } from '../cluster/lanes.ts';
import type { Command } from '../command/command.ts';

export class Session {
  readonly id: number;
  /** As CLIENT LIST shows them: `host:port`, or a path. */
  readonly address: string;
  readonly localAddress: string;
  /** Wall clock, ms. */
  readonly createdAt = Date.now();
  /** Of the last command, in the turn's milliseconds. */
  activeAt: number;
  lastCommand: Command | undefined = undefined;

  resp: 2 | 3 = 2;
  /** What the client's commands run as. Empty: the servers' default user, without AUTH. */
  username = '';
  password = '';
  authenticated: boolean;
  lane: Lane;

  name = '';
  libName = '';
  libVersion = '';
  noEvict = false;
  noTouch = false;
  readOnly = false;
  /**
   * Until when (`turn.now`) commands are refused since a MULTI was: up to EXEC, DISCARD or RESET, but not for
   * ever, since a client that has read the error may send none of them. 0: they are not.
   */
  refusingUntil = 0;

  constructor(id: number, socket: Socket, lane: Lane, authenticated: boolean, now: number) {
    this.id = id;
    this.lane = lane;
    this.authenticated = authenticated;
    this.activeAt = now;
    this.address = addressText(socket.remoteAddress, socket.remotePort);
    this.localAddress = addressText(socket.localAddress, socket.localPort);
  }
}

function addressText(address: string | undefined, port: number | undefined): string {
  if (address === undefined) return '/unix:0';
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
