// What the server would remember of a connection, and the proxy remembers in its place.

import type { Socket } from 'node:net';
import type { Cluster } from '../cluster/cluster.ts';
import type { Lane, LaneKey } from '../cluster/lanes.ts';
import type { Link } from '../cluster/link.ts';
import type { Node } from '../cluster/node.ts';
import type { Command } from '../command/command.ts';
import type { SavedArguments } from './saved.ts';
import type { Subscribed } from './subscribed.ts';
import type { Transaction } from './transaction.ts';

/** Keys that a node watches for this client, all of one slot: see watch.ts. */
export interface Watched {
  readonly slot: number;
  readonly node: Node;
  readonly link: Link;
  /** How many they are. */
  readonly keys: number;
  /** Watches more keys of the slot. Resolves with the reply for the client, `ok` when it is done. */
  more(request: SavedArguments, ok: Buffer): Promise<Buffer>;
  /** True as long as the node remembers what is watched, for a client on `lane`. */
  holds(lane: Lane): boolean;
  /**
   * Runs a transaction under the watch, and ends that.
   * @param run MULTI, commands and EXEC, `count` in all
   * @param nil what the client is told when a key has changed, or may have
   */
  exec(run: Buffer, count: number, reads: boolean, nil: Buffer): Promise<Buffer>;
  /** Ends the watch without a transaction. */
  release(): void;
  /** Ends the watch at once: the client is gone. */
  abandon(): void;
}

/** CLIENT TRACKING: what a client is told of. */
export interface Tracked {
  /** All keys with one of the prefixes, instead of those that it has read. */
  readonly bcast: boolean;
  readonly prefixes: readonly Buffer[];
  /** Only what it reads after CLIENT CACHING YES; all but what it reads after CLIENT CACHING NO. */
  readonly optin: boolean;
  readonly optout: boolean;
  readonly noloop: boolean;
  /** The id of the client that is told in its place; 0: none. */
  readonly redirect: number;
  /** What CLIENT CACHING has said of the next command. */
  caching: boolean | undefined;
  /** The client that was to be told is gone. */
  broken: boolean;
}

export class Session {
  readonly id: number;
  /** As CLIENT LIST shows them: `host:port`, or a path. */
  address: string;
  localAddress: string;
  /** Of a unix socket; else empty. */
  path = '';
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
  /** The database: 0, unless the servers have several in a cluster. */
  db = 0;
  /** CLIENT REPLY OFF, and SKIP for the next command. */
  replyOff = false;
  skipNext = false;
  /** MONITOR. */
  monitoring = false;
  /** Its next command waits for the end of a CLIENT PAUSE. */
  postponed = false;
  tracking: Tracked | undefined = undefined;
  /** What it is subscribed to, if it is. */
  subscribed: Subscribed | undefined = undefined;
  readOnly = false;
  /** `host:port` of the node that answers what has no keys, if the client has chosen one. */
  defaultNode: string | undefined = undefined;
  /** What is queued since MULTI. */
  transaction: Transaction | undefined = undefined;
  watch: Watched | undefined = undefined;
  /** Commands of an EXEC are being executed. */
  executing = false;

  constructor(id: number, socket: Socket, lane: Lane, authenticated: boolean, now: number) {
    this.id = id;
    this.lane = lane;
    this.authenticated = authenticated;
    this.activeAt = now;
    this.address = addressText(socket.remoteAddress, socket.remotePort);
    this.localAddress = addressText(socket.localAddress, socket.localPort);
  }

  /** Commands queued since MULTI, -1 without one. */
  get queued(): number {
    return this.transaction?.entries.length ?? -1;
  }

  /** Keys watched. */
  get watching(): number {
    return this.watch?.keys ?? 0;
  }

  /** Forgets what is queued since MULTI, and what was watched for it. */
  endTransaction(): void {
    this.transaction = undefined;
    this.endWatch();
  }

  endWatch(): void {
    this.watch?.release();
    this.watch = undefined;
  }

  /** It has come over a unix socket. */
  overUnix(path: string): void {
    this.path = path;
    this.address = this.localAddress = `${path}:0`;
  }
}

function addressText(address: string | undefined, port: number | undefined): string {
  if (address === undefined) return '/unix:0';
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** What its links are chosen by. */
export function laneOf(
  cluster: Cluster,
  one: Pick<Session, 'id' | 'resp' | 'username' | 'password'> & Partial<Pick<Session, 'db' | 'noTouch'>>,
): LaneKey {
  const { id, resp, username, password, db = 0, noTouch = false } = one;
  return { resp, username, password, readOnly: false, copy: id % cluster.options.links, db, noTouch };
}
