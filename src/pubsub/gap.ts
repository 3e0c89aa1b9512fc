// Times during which subscriptions were not heard: their node was lost, or their slot has moved. What was published
// meanwhile may be missing, so each is counted, and logged once for all subscriptions that it took.

import type { Log } from '../log.ts';
import { TOTAL } from '../telemetry/counters.ts';

/** What can have a gap. */
export interface Gapped {
  readonly clients: number;
  /** It was heard, and is not now. */
  gap: Gap | undefined;
}

export interface Gap {
  /** The node at which they were heard. */
  readonly node: string;
  readonly reason: string;
  /** ms. */
  readonly since: number;
  /** Subscriptions, and those that are not heard again yet. */
  subscriptions: number;
  open: number;
}

export class Gaps {
  private readonly totals: Float64Array;
  private readonly log: Log;
  /** Those that have begun in this turn, by node. */
  private readonly begun = new Map<string, Gap>();

  constructor(totals: Float64Array, log: Log) {
    this.totals = totals;
    this.log = log;
  }

  /** A subscription is not heard any more. False: nobody has it, or it was not heard before. */
  begin(subscription: Gapped, node: string, reason: string): boolean {
    if (subscription.clients === 0 || subscription.gap !== undefined) return false;
    let gap = this.begun.get(node);
    if (gap === undefined) {
      gap = { node, reason, since: performance.now(), subscriptions: 0, open: 0 };
      this.begun.set(node, gap);
      setImmediate(() => this.begun.delete(node));
    }
    gap.subscriptions++;
    gap.open++;
    subscription.gap = gap;
    this.totals[TOTAL.subscriptionGaps]! += 1;
    return true;
  }

  /** A subscription is heard again, or nobody has it any more. */
  end(subscription: Gapped): void {
    const { gap } = subscription;
    if (gap === undefined) return;
    subscription.gap = undefined;
    const ms = performance.now() - gap.since;
    this.totals[TOTAL.subscriptionGapSeconds]! += ms / 1000;
    if (--gap.open > 0) return;
    const { node, reason, subscriptions } = gap;
    this.log.warn(
      { node, reason, subscriptions, ms: Math.round(ms) },
      'subscriptions are heard again; what was published in that time may be missing',
    );
  }
}
