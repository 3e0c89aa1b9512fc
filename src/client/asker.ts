// Questions that the proxy asks the cluster on a client's behalf, in RESP2 whatever the client speaks, so that
// their replies can be read with redis-parser. Only while nothing else of the client is under way. Cold.

import type { Cluster } from '../cluster/cluster.ts';
import type { Lane } from '../cluster/lanes.ts';
import type { Link } from '../cluster/link.ts';
import type { Node } from '../cluster/node.ts';
import type { Caller, Sending } from '../cluster/sending.ts';
import type { Config } from '../config.ts';
import { limit, notServed } from '../resp/errors.ts';
import { command, type Resp } from '../resp/write.ts';
import { collect } from './collect.ts';
import type { Context } from './context.ts';
import { Question } from './request.ts';
import { parseReply } from './saved.ts';
import type { Session } from './session.ts';

/** Where is asked. */
export interface Room {
  readonly cluster: Cluster;
  readonly context: Pick<Context, 'config'>;
}

/** For whom is asked. */
export interface OnBehalf {
  readonly cluster: Cluster;
  readonly session: Session;
  readonly context: Context;
}

/** The proxy's own user: its bytes written as Latin-1, the form in which users and passwords are kept. */
export function ownUser({ username, password }: Pick<Config, 'username' | 'password'>) {
  return {
    username: Buffer.from(username).toString('latin1'),
    password: Buffer.from(password).toString('latin1'),
  };
}

/** As whom is asked. */
export interface Login {
  readonly username: string;
  readonly password: string;
  readonly db: number;
}

export class Asker implements Caller {
  readonly cluster: Cluster;
  readonly lane: Lane;

  private constructor(cluster: Cluster, lane: Lane) {
    this.cluster = cluster;
    this.lane = lane;
  }

  /** Runs `work` with questions that have the client's own rights. */
  static with<T>(client: OnBehalf, work: (asker: Asker) => Promise<T>): Promise<T> {
    const { username, password, db } = client.session;
    return Asker.as(client, { username, password, db }, work);
  }

  /** One that asks in a version of the protocol, as some user: to be closed. `value` and what is made of it are for RESP2. */
  static speaking(cluster: Cluster, resp: Resp, { username, password, db }: Login): Asker {
    return new Asker(cluster, cluster.enterLane({ resp, username, password, db, readOnly: false, copy: 0 }));
  }

  /** Runs `work` with questions that have the proxy's rights: about the cluster, and not about the data. */
  static asProxy<T>(client: Room, work: (asker: Asker) => Promise<T>): Promise<T> {
    return Asker.as(client, { ...ownUser(client.context.config), db: 0 }, work);
  }

  private static async as<T>(client: Room, user: Login, work: (asker: Asker) => Promise<T>): Promise<T> {
    const asker = Asker.speaking(client.cluster, 2, user);
    try {
      return await work(asker);
    } finally {
      asker.close();
    }
  }

  close(): void {
    this.cluster.leaveLane(this.lane);
  }

  /** The raw reply of the owner of a slot, or of a node; an error reply too. */
  raw(whom: number | Node, words: readonly (string | Uint8Array | number)[], reads = true): Promise<Buffer> {
    return Question.ask(this, whom, command(words), reads);
  }

  /** The reply as nested arrays of Buffers and numbers. Throws the server's error. */
  async value(
    whom: number | Node,
    words: readonly (string | Uint8Array | number)[],
    reads = true,
  ): Promise<unknown> {
    const value = parseReply(await this.raw(whom, words, reads));
    if (value instanceof Error) throw new ServerError(value.message);
    return value;
  }

  /** The same question to every primary, the replies by lowest slot. */
  ofShards(words: readonly (string | Uint8Array | number)[], reads = true): Promise<unknown[]> {
    return Promise.all(this.cluster.shardSlots().map((slot) => this.value(slot, words, reads)));
  }

  /** The same question to every node, replicas too. */
  ofNodes(words: readonly (string | Uint8Array | number)[], reads = true): Promise<unknown[]> {
    return Promise.all(this.cluster.allNodes().map(({ node }) => this.value(node, words, reads)));
  }

  callStarted(_call: Sending): void {}
  callLoose(_call: Sending): void {}
  callSettled(_call: Sending): void {}
  callHeld(_call: Sending): void {}

  holdsMore(): boolean {
    return false;
  }

  writesBehind(): boolean {
    return false;
  }
}

/** An error reply of a server, to be given to the client as it is. */
export class ServerError extends Error {}

/** One command on a borrowed link: a promise of its raw reply, or of an error of the proxy's own. */
export function askOnce(link: Link, request: Buffer): Promise<Buffer> {
  return new Promise((resolve) => {
    const pending = collect(resolve, ({ reason }) => resolve(notServed(reason)));
    link.send(pending, request, 0, request.length).release();
  });
}

/** The same over a link of one's own, since a script that runs for long holds up the shared ones. `most`: node.dedicated. */
export async function askAside(node: Node, lane: Lane, request: Buffer, most: number): Promise<Buffer> {
  const link = node.borrow(lane);
  if (link === undefined) return limit('node.dedicated', most);
  const reply = await askOnce(link, request);
  node.giveBack(lane, link);
  return reply;
}
