// A time during which subscriptions were not heard: their node was lost, or their slot has moved. What was published
// meanwhile may be missing.

export class Gap {
  /** The node at which they were heard. */
  readonly node: string;
  readonly reason: string;
  /** In the turn's milliseconds. */
  readonly since: number;
  /** Subscriptions, and those that are not heard again yet. */
  subscriptions = 0;
  open = 0;

  constructor(node: string, reason: string, since: number) {
    this.node = node;
    this.reason = reason;
    this.since = since;
  }
}
