// What a client has written lately, by slot: its reads have to see it. Hot for who reads from replicas.
//
// A read of a slot goes to the primary while a write of the same client to that slot is under way, and then until
// a replica is known to have got as far as when the write was answered. A write that all replicas have is forgotten,
// and so is one that is older than the setting `reads.ownWrites`.

interface Mark {
  /** Writes under way. */
  flying: number;
  /** When the last of the others was answered, in `turn.now`. */
  at: number;
}

/** Marks are looked through each time that so many writes were answered. */
const SWEEP = 64;

export class OwnWrites {
  private readonly slots = new Map<number, Mark>();
  /** When it wrote to what is in no mark of its own. */
  private everywhere = -1;
  private untilSweep = SWEEP;

  started(slot: number): void {
    const mark = this.slots.get(slot);
    if (mark === undefined) this.slots.set(slot, { flying: 1, at: -1 });
    else mark.flying++;
  }

  answered(slot: number, now: number): void {
    const mark = this.slots.get(slot);
    if (mark === undefined) return;
    this.untilSweep--;
    mark.at = now;
    if (--mark.flying > 0) return;
    // The oldest stay in front.
    this.slots.delete(slot);
    this.slots.set(slot, mark);
  }

  /** It has written, nobody knows where. */
  all(now: number): void {
    this.everywhere = now;
  }

  /** What is read of a slot has to be newer than this, in `turn.now`; Infinity: the primary has to be asked. */
  after(slot: number): number {
    const mark = this.slots.get(slot);
    if (mark === undefined) return this.everywhere;
    return mark.flying > 0 ? Number.POSITIVE_INFINITY : Math.max(mark.at, this.everywhere);
  }

  /** It is time to sweep. */
  get due(): boolean {
    return this.untilSweep <= 0;
  }

  /** Forgets what all replicas have, that is until `known`, and what is older than `expired`. */
  sweep(known: number, expired: number): void {
    this.untilSweep = SWEEP;
    for (const [slot, { flying, at }] of this.slots) {
      if (flying > 0) continue;
      if (at >= expired && at >= known) break;
      // A replica that comes back later has to have it all the same.
      if (at >= expired) this.everywhere = Math.max(this.everywhere, at);
      this.slots.delete(slot);
    }
    if (this.everywhere < expired) this.everywhere = -1;
  }
}
