// Commands that wait because their slot can't be served now: the cluster is down, the node can't be reached,
// or nobody owns the slot.
//
// All of a slot's commands wait behind each other, so that none overtakes another; only the first is tried,
// and when a node has taken it the rest follow in their order. So a dead node costs one attempt per slot and
// tick, however many wait, and a client's commands keep their order through a failover. A command that has
// waited for too long answers with the error that held it and leaves.

/** A command that can wait at a gate. */
export interface Waiting {
  /** The slot it is for. */
  readonly slot: number;
  /** When it began to wait, in the turn's milliseconds; 0 when it does not wait. */
  heldSince: number;
  /** Send it to the slot's owner. False: there is none, it goes on waiting. */
  sendFromGate(): boolean;
  /** It has waited too long. */
  giveUp(): void;
}

interface Gate {
  queue: Waiting[];
  probe: Waiting | undefined;
}

const TICK = 20;

export class Gates {
  readonly slots = new Map<number, Gate>();
  private delayed: Waiting[] = [];
  private readonly holdFor: number;
  private readonly clock: () => number;
  private timer: NodeJS.Timeout | undefined;

  /** `holdFor`: the longest wait in ms. */
  constructor(holdFor: number, clock: () => number) {
    this.holdFor = holdFor;
    this.clock = clock;
  }

  /** Commands that wait, the ones being tried included. */
  get waiting(): number {
    let count = this.delayed.length;
    for (const gate of this.slots.values()) count += gate.queue.length + (gate.probe === undefined ? 0 : 1);
    return count;
  }

  /** Adds a command behind those that wait for its slot; in front when it is the one that was being tried. */
  hold(call: Waiting): void {
    if (call.heldSince === 0) call.heldSince = this.clock();
    const gate = this.slots.get(call.slot);
    if (gate === undefined) this.slots.set(call.slot, { queue: [call], probe: undefined });
    else if (gate.probe === call) {
      gate.probe = undefined;
      gate.queue.unshift(call);
    } else gate.queue.push(call);
    this.timer ??= setInterval(() => this.tick(), TICK);
  }

  /** A node has answered this command: if it was the one being tried, the rest of its slot may follow. */
  settled(call: Waiting): void {
    const gate = this.slots.get(call.slot);
    if (gate?.probe !== call) return;
    gate.probe = undefined;
    this.slots.delete(call.slot);
    for (let i = 0; i < gate.queue.length; i++) {
      const next = gate.queue[i]!;
      if (next.sendFromGate()) next.heldSince = 0;
      else this.hold(next);
    }
  }

  /** The command that was being tried has failed for good: the next one is tried at the next tick. */
  left(call: Waiting): void {
    const gate = this.slots.get(call.slot);
    if (gate?.probe === call) gate.probe = undefined;
  }

  /** Sends a command again at the next tick, past the gate: TRYAGAIN speaks of its keys, not of its slot. */
  delay(call: Waiting): void {
    if (call.heldSince === 0) call.heldSince = this.clock();
    this.delayed.push(call);
    this.timer ??= setInterval(() => this.tick(), TICK);
  }

  /** Tries again at once: the map has changed or a node has come back. */
  tick(): void {
    const now = this.clock();
    const { delayed } = this;
    this.delayed = [];
    for (const call of delayed) {
      if (now - call.heldSince > this.holdFor) call.giveUp();
      else if (!call.sendFromGate()) this.delayed.push(call);
    }
    for (const [slot, gate] of this.slots) {
      while (gate.queue.length > 0 && now - gate.queue[0]!.heldSince > this.holdFor) gate.queue.shift()!.giveUp();
      if (gate.probe === undefined && gate.queue.length > 0) {
        const first = gate.queue.shift()!;
        gate.probe = first;
        if (!first.sendFromGate() && gate.probe === first) {
          gate.probe = undefined;
          gate.queue.unshift(first);
        }
      }
      if (gate.probe === undefined && gate.queue.length === 0) this.slots.delete(slot);
    }
    if (this.slots.size === 0 && this.delayed.length === 0) this.close();
  }

  close(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }
}
