// Subscribers whose rights are taken away: a server disconnects them, so the proxy does (acl.c ACLKillPubsubClients).
//
// The proxy's own user subscribes at the nodes, so no node knows who hears what. The servers are asked (ACL DRYRUN)
// whether each user that has subscribers may still subscribe to what these have: behind every ACL command that can
// change it, and from time to time, for what others change at the nodes. Cold.

import type { Cluster } from '../cluster/cluster.ts';
import { CHANNEL, type Kind, PATTERN, SHARD } from '../pubsub/names.ts';
import { Asker, ownUser, type Room } from './asker.ts';
import type { Attentive, Signal } from './attention.ts';
import type { Revocation } from './context.ts';
import { parseReply } from './saved.ts';

const VERBS = ['SUBSCRIBE', 'PSUBSCRIBE', 'SSUBSCRIBE'] as const;
/** Names that are asked of at once. */
const BATCH = 1000;

export interface RevokedOptions extends Room {
  /** How often, ms. */
  readonly every: number;
  /** Has all other workers look; resolves when they have. */
  readonly signal: (signal: Signal) => Promise<unknown>;
}

export class Revoked implements Revocation {
  private readonly cluster: Cluster;
  private readonly clients: ReadonlyMap<number, Attentive>;
  private readonly options: RevokedOptions;
  private readonly timer: NodeJS.Timeout;
  private looking: Promise<void> | undefined = undefined;

  constructor(clients: ReadonlyMap<number, Attentive>, options: RevokedOptions) {
    this.cluster = options.cluster;
    this.clients = clients;
    this.options = options;
    this.timer = setInterval(() => void this.look(), options.every).unref();
  }

  close(): void {
    clearInterval(this.timer);
  }

  async lookEverywhere(): Promise<void> {
    await Promise.all([this.look(), this.options.signal({ about: 'rights' })]);
  }

  async look(): Promise<void> {
    // Whoever asks while somebody looks wants what comes after.
    while (this.looking !== undefined) await this.looking;
    this.looking = this.lookOnce().finally(() => {
      this.looking = undefined;
    });
    await this.looking;
  }

  private async lookOnce(): Promise<void> {
    for (const [user, clients] of this.subscribersOfOthers()) {
      if (await this.mayAll(user, clients)) continue;
      for (const client of clients)
        if (!(await this.mayAll(user, [client]))) client.close(`its user may not subscribe to this any more`);
    }
  }

  /** By user; without those of the proxy's own user, whom the nodes judge themselves. */
  private subscribersOfOthers(): Map<string, Attentive[]> {
    const own = ownUser(this.options.context.config);
    const users = new Map<string, Attentive[]>();
    for (const client of this.clients.values()) {
      const { subscribed, username } = client.session;
      if (subscribed === undefined || username === own.username) continue;
      users.set(username, [...(users.get(username) ?? []), client]);
    }
    return users;
  }

  /** Whether a user may subscribe to all that these clients of it have. Where nobody can say, it may. */
  private async mayAll(user: string, clients: readonly Attentive[]): Promise<boolean> {
    for (const kind of [CHANNEL, PATTERN, SHARD] as const) {
      const names = [...new Set(clients.flatMap((client) => client.session.subscribed?.keys(kind) ?? []))];
      for (let i = 0; i < names.length; i += BATCH)
        if (!(await this.may(user, kind, names.slice(i, i + BATCH)))) return false;
    }
    return true;
  }

  private async may(user: string, kind: Kind, names: readonly string[]): Promise<boolean> {
    const words = [user === '' ? 'default' : user, VERBS[kind], ...names];
    const raw = await Asker.asProxy(this.options, (asker) =>
      asker.raw(this.cluster.anySlot(0), [
        'ACL',
        'DRYRUN',
        ...words.map((word) => Buffer.from(word, 'latin1')),
      ]),
    );
    const verdict = parseReply(raw);
    if (verdict instanceof Error) return !/^ERR User '.*' not found/s.test(verdict.message);
    return String(verdict) === 'OK';
  }
}
