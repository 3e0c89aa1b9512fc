// How many bytes a command has taken from the cluster, as it takes them: what it will be cannot be known before.

import { mayCopy } from './copies.ts';

export class Meter {
  private readonly most: number;
  private total = 0;

  /** @param most bytes: crossSlot.maxBytes */
  constructor(most: number) {
    this.most = most;
  }

  /** @throws Refusal where it is more than a command may take */
  count(bytes: number): void {
    this.total += bytes;
    mayCopy(this.total, this.most);
  }
}
