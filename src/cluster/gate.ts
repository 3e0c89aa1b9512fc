// Commands that wait because their slot can't be served now: the cluster is down, the node can't be reached,
// or nobody owns the slot.
//
// All of a slot's commands wait behind each other, in the order in which they were made, so that none overtakes
// another; only the first is tried, and when a node has taken it the rest follow. So a cluster that is down costs
// some attempts per tick, however many wait, and a client's commands keep their order through a failover. A
// command that has waited for too long answers with the error that held it and leaves.
//
//   slot 866 | A (being tried) | B C D ...     whatever comes back for slot 866, or comes anew, goes in here
//
// No more wait than may, of all slots together: the next gets an error, and only those that would have to wait.
//
// A command that was told TRYAGAIN waits by itself: that speaks of its keys, and others of its slot are served.

/** A command that can wait at a gate. */
export interface Waiting {
  /** The slot it is for. */
  readonly slot: number;
  /** Bytes it holds. */
  readonly length: number;
  /** When it began to wait, in the turn's milliseconds; 0 when it does not wait. */
  heldSince: number;
  /** It waits for its slot, or is the one that is being tried. */
  atGate: boolean;
  /** Of the same client as another? */
  isOf(other: Waiting): boolean;
  /** Made before another? */
  isBefore(other: Waiting): boolean;
  /** Send it to the slot's owner. False: there is none, it goes on waiting. */
  sendFromGate(): boolean;
  /** It has waited too long. */
  giveUp(): void;
  /** No more may wait: the setting that says so, and its value. */
  turnAway(setting: string, value: number): void;
}

export interface GateLimits {
  /** The longest wait at a gate, and after TRYAGAIN, ms. */
  readonly holdFor: number;
  readonly tryAgainFor: number;
  /** What may wait in all. */
  readonly maxCommands: number;
  readonly maxBytes: number;
}

interface Gate {
  queue: Waiting[];
  /** The one being tried. */
  probe: Waiting | undefined;
}

const TICK = 20;
/** As many slots are tried at each tick; all of them when a node has just served one. */
const AT_A_TIME = 200;

export class Gates {
  readonly slots = new Map<number, Gate>();
  private readonly limits: GateLimits;
  private readonly clock: () => number;
  /** Told at each tick while the first of a slot can't be sent. */
  private readonly stuck: () => void;
  private delayed: Waiting[] = [];
  /** How many wait. */
  commands = 0;
  private bytes = 0;
  private timer: NodeJS.Timeout | undefined;
  /** Where the last tick came to. */
  private walk = this.slots.entries();
  /** A node has served one since the last tick. */
  private served = false;

  constructor(limits: GateLimits, clock: () => number, stuck: () => void = () => {}) {
    this.limits = limits;
    this.clock = clock;
    this.stuck = stuck;
  }

  /** Whether a command has to wait behind others of its slot. */
  holdsBack(call: Waiting): boolean {
    if (this.slots.size === 0) return false;
    const gate = this.slots.get(call.slot);
    return gate !== undefined && gate.probe !== call;
  }

  /** Adds a command to those that wait for its slot, or turns it away when no more may wait. */
  hold(call: Waiting): void {
    const passed = this.passed;
    // The one that is being tried was let in before.
    if (passed === undefined || this.slots.get(call.slot)?.probe === call) this.admit(call);
    else call.turnAway(...passed);
  }

  /** The setting by which no more may wait, and its value. */
  private get passed(): [setting: string, value: number] | undefined {
    const { maxCommands, maxBytes } = this.limits;
    if (this.commands >= maxCommands) return ['node.maxPending', maxCommands];
    return this.bytes >= maxBytes ? ['node.maxPendingBytes', maxBytes] : undefined;
  }

  private admit(call: Waiting): void {
    this.enter(call);
    let gate = this.slots.get(call.slot);
    if (gate === undefined) {
      gate = { queue: [], probe: undefined };
      this.slots.set(call.slot, gate);
    }
    call.atGate = true;
    if (gate.probe === call) gate.probe = undefined;
    const { queue } = gate;
    let at = queue.length;
    while (at > 0 && call.isBefore(queue[at - 1]!)) at--;
    if (at === queue.length) queue.push(call);
    else queue.splice(at, 0, call);
  }

  /** Sends a command again at the next tick, past the gate. */
  delay(call: Waiting): void {
    this.stepAside(call);
    if (this.passed !== undefined) return call.giveUp();
    this.enter(call);
    this.delayed.push(call);
  }

  /**
   * A node has spoken, of this command's keys alone: if it was the one being tried, the rest of its slot may follow.
   * Unless its own client has put something behind it: that must stay behind.
   */
  stepAside(call: Waiting): void {
    const gate = this.slots.get(call.slot);
    if (gate?.probe === call && gate.queue.some((other) => other.isOf(call))) return;
    this.settled(call);
    call.atGate = false;
  }

  /** A node has answered this command: if it was the one being tried, the rest of its slot may follow. */
  settled(call: Waiting): void {
    const gate = this.slots.get(call.slot);
    if (gate?.probe !== call) return;
    this.served = true;
    this.slots.delete(call.slot);
    for (const next of gate.queue) this.letGo(next);
  }

  /** This command has failed for good: if it was the one being tried, the next is tried at the next tick. */
  left(call: Waiting): void {
    const gate = this.slots.get(call.slot);
    if (gate?.probe === call) gate.probe = undefined;
  }

  /** Tries again: time has passed, the map has changed, or a node has come back. `all`: every slot. */
  tick(all = true): void {
    const now = this.clock();
    const { delayed } = this;
    this.delayed = [];
    for (const call of delayed) {
      if (now - call.heldSince > this.limits.tryAgainFor) this.dismiss(call);
      else if (this.holdsBack(call)) {
        this.leave(call);
        this.admit(call);
      } else if (!this.trySend(call)) this.delayed.push(call);
    }
    const most = all || this.served ? this.slots.size : Math.min(AT_A_TIME, this.slots.size);
    this.served = false;
    for (let i = 0; i < most && this.slots.size > 0; i++) {
      const [slot, gate] = this.nextSlot();
      this.tryFirst(slot, gate, now);
    }
    for (const { queue, probe } of this.slots.values())
      if (probe === undefined && queue.length > 0) {
        this.stuck();
        break;
      }
    if (this.slots.size === 0 && this.delayed.length === 0) this.close();
  }

  close(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** The slots in turn, for ever. There is one. */
  private nextSlot(): [number, Gate] {
    let { value, done } = this.walk.next();
    if (done === true) {
      this.walk = this.slots.entries();
      ({ value, done } = this.walk.next());
    }
    return value!;
  }

  private tryFirst(slot: number, gate: Gate, now: number): void {
    const { queue } = gate;
    while (queue.length > 0 && now - queue[0]!.heldSince > this.limits.holdFor) this.dismiss(queue.shift()!);
    const first = queue[0];
    if (gate.probe === undefined && first !== undefined) {
      queue.shift();
      gate.probe = first;
      if (!this.trySend(first) && gate.probe === first) {
        gate.probe = undefined;
        queue.unshift(first);
      }
    }
    if (gate.probe === undefined && queue.length === 0) this.slots.delete(slot);
  }

  private letGo(call: Waiting): void {
    this.leave(call);
    if (call.sendFromGate()) {
      call.heldSince = 0;
      call.atGate = false;
    } else this.admit(call);
  }

  private enter(call: Waiting): void {
    if (call.heldSince === 0) call.heldSince = this.clock();
    this.commands++;
    this.bytes += call.length;
    this.timer ??= setInterval(() => this.tick(false), TICK);
  }

  /** Counted out before it is sent, since it may come back at once. */
  private trySend(call: Waiting): boolean {
    this.leave(call);
    if (call.sendFromGate()) return true;
    this.commands++;
    this.bytes += call.length;
    return false;
  }

  private dismiss(call: Waiting): void {
    this.leave(call);
    this.left(call);
    call.giveUp();
  }

  private leave(call: Waiting): void {
    this.commands--;
    this.bytes -= call.length;
  }
}
