// How much a client may leave unread: `clientOutputLimit`, and for one that is subscribed `pubsub.outputLimit`, at
// once or for a time.

import type { Config } from '../config.ts';

export class UnreadLimit {
  private readonly config: Pick<Config, 'clientOutputLimit' | 'pubsub'>;
  /** Since when more is unread than may be for a time, ms; 0: it is not. */
  private softSince = 0;

  constructor(config: Pick<Config, 'clientOutputLimit' | 'pubsub'>) {
    this.config = config;
  }

  /** The limit that is passed with so many bytes unread, if one is. `now` in ms. */
  passed(unread: number, subscribed: boolean, now: number): string | undefined {
    const { clientOutputLimit, pubsub } = this.config;
    if (!subscribed) return unread > clientOutputLimit ? 'clientOutputLimit' : undefined;
    const { hard, soft, softFor } = pubsub.outputLimit;
    if (hard > 0 && unread > hard) return 'pubsub.outputLimit, hard';
    if (soft === 0 || unread <= soft) this.softSince = 0;
    else if (this.softSince === 0) this.softSince = now;
    else if (now - this.softSince > softFor) return 'pubsub.outputLimit, soft';
    return undefined;
  }
}
