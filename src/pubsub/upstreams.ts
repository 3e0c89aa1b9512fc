// One worker's upstreams, one for each node at which anything is subscribed. One at which nothing is any more is left
// after a while.

import type { FeedOptions } from '../cluster/feed.ts';
import { addressOf } from '../cluster/node.ts';
import type { Turn } from '../cluster/turn.ts';
import { Upstream, type UpstreamOwner } from './upstream.ts';

/** ms. */
const KEEP_IDLE = 10_000;

export class Upstreams {
  private readonly options: FeedOptions;
  private readonly turn: Turn;
  private readonly owner: UpstreamOwner;
  private readonly byAddress = new Map<string, Upstream>();

  constructor(options: FeedOptions, turn: Turn, owner: UpstreamOwner) {
    this.options = options;
    this.turn = turn;
    this.owner = owner;
  }

  /** The node's upstream. `primary`: the map says that it is one. */
  at(host: string, port: number, primary: (address: string) => boolean): Upstream {
    const address = addressOf(host, port);
    let upstream = this.byAddress.get(address);
    if (upstream === undefined) {
      upstream = new Upstream(host, port, address, this.options, this.turn, this.owner);
      upstream.primary = primary(address);
      this.byAddress.set(address, upstream);
    }
    return upstream;
  }

  all(): Upstream[] {
    return [...this.byAddress.values()];
  }

  /** Closes those that have been idle for long. False: none is left. */
  closeIdle(now: number): boolean {
    for (const upstream of this.byAddress.values()) {
      if (upstream.subscriptions.size > 0) upstream.idleSince = 0;
      else if (upstream.idleSince === 0) upstream.idleSince = now;
      else if (now - upstream.idleSince > KEEP_IDLE) {
        upstream.close();
        this.byAddress.delete(upstream.address);
      }
    }
    return this.byAddress.size > 0;
  }

  close(): void {
    for (const upstream of this.byAddress.values()) upstream.close();
    this.byAddress.clear();
  }
}
