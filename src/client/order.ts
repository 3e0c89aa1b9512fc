// Promise: two commands of a client on one slot reach the data in the order they were sent. Hot.
//
// Links are FIFOs, so this needs care only when the second command would take another road than the first:
// when the map has changed, when the first was redirected or waits, or when it has several keys and may be told
// to try again while a later one is executed. Such calls are loose, and counted by slot: a pipeline may have
// a hundred thousand of them under way, so no command looks at them one by one. Only when the map changes all
// calls are looked at, and those that it has moved become loose. A command that goes to every shard (FLUSHALL)
// touches every slot: all others wait for it, and it for all that are loose.

import type { Call } from '../cluster/call.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { Gathered } from './gathered.ts';
import type { Place, Replies } from './replies.ts';
import { Request } from './request.ts';

/** In place of a slot: every slot. */
export const EVERY_SLOT = -1;

/** Loose calls of one slot. */
interface Tally {
  /** Reads of several keys that are where they belong: they hold back writes alone. */
  reads: number;
  others: number;
  /** Of all of these, those that wait at the slot's gate. */
  held: number;
}

export class Order {
  /** Calls without an answer. */
  inFlight = 0;

  /** The places of what is under way. */
  replies: Replies;

  private readonly cluster: Cluster;
  /** Commands under way that touch every slot. */
  private wide = 0;
  /** Loose calls under way, by slot. */
  private readonly slots = new Map<number, Tally>();
  /** By slot: the last write under way; for one lost link. */
  private lastWrites: Map<number, Call> | undefined = undefined;
  /** The roads on which all calls under way were sent, as far as is known. */
  private roads: number;

  constructor(cluster: Cluster, replies: Replies) {
    this.cluster = cluster;
    this.replies = replies;
    this.roads = cluster.roads;
  }

  started(call: Call): void {
    if (this.inFlight++ === 0) this.roads = this.cluster.roads;
    if (call.loose) this.count(call, 1);
  }

  /** A call is not where the map says that its slot is: from now on it holds back reads as well. */
  loosened(call: Call): void {
    if (call.away) return;
    if (call.loose) this.count(call, -1);
    call.stray();
    this.count(call, 1);
  }

  /** A loose call has come to its slot's gate (1) or has left it (-1). */
  held(call: Call, change: 1 | -1): void {
    const tally = this.slots.get(call.slot);
    if (tally !== undefined) tally.held += change;
  }

  /** More than this call waits at its slot's gate. */
  holdsMore(call: Call): boolean {
    return (this.slots.get(call.slot)?.held ?? 0) > (call.atGate ? 1 : 0);
  }

  settled(call: Call): void {
    this.inFlight--;
    if (call.loose) this.count(call, -1);
  }

  /** A command that touches every slot has begun (1) or is done (-1). */
  touchesAll(change: 1 | -1): void {
    this.wide += change;
  }

  private count(call: Call, change: 1 | -1): void {
    let tally = this.slots.get(call.slot);
    if (tally === undefined) {
      tally = { reads: 0, others: 0, held: 0 };
      this.slots.set(call.slot, tally);
    }
    if (call.reads && !call.away) tally.reads += change;
    else tally.others += change;
    if (tally.reads + tally.others === 0) this.slots.delete(call.slot);
  }

  /** True while a command for `slot` could overtake one that is under way. `reads`: it changes nothing. */
  mustWait(slot: number, reads: boolean): boolean {
    if (this.inFlight === 0) return false;
    if (this.roads !== this.cluster.roads) this.revise();
    if (this.wide > 0) return true;
    if (this.slots.size === 0) return false;
    if (slot === EVERY_SLOT) return !reads || [...this.slots.values()].some(({ others }) => others > 0);
    const tally = this.slots.get(slot);
    if (tally === undefined || (reads && tally.others === 0)) return false;
    // All of them wait at the gate: there it goes behind them.
    return tally.held < tally.reads + tally.others;
  }

  /** The map is another: what is not where that says is loose. */
  private revise(): void {
    this.roads = this.cluster.roads;
    for (let place = this.replies.front; place !== undefined; place = place.next)
      for (const call of callsOf(place)) if (!call.settled && call.isAstray) this.loosened(call);
  }

  /** True when a write to the call's slot was sent after it, and may have been executed. */
  writesBehind(call: Call): boolean {
    // A lost link asks this for each of its reads, in one go: the search is made once for all of them.
    if (this.lastWrites === undefined) {
      this.lastWrites = this.findLastWrites();
      queueMicrotask(() => {
        this.lastWrites = undefined;
      });
    }
    const { lastWrites } = this;
    const own = lastWrites.get(call.slot);
    const wide = lastWrites.get(EVERY_SLOT);
    return (own !== undefined && call.isBefore(own)) || (wide !== undefined && call.isBefore(wide));
  }

  private findLastWrites(): Map<number, Call> {
    const found = new Map<number, Call>();
    for (let place = this.replies.front; place !== undefined; place = place.next) {
      const wide = place instanceof Gathered && place.wide;
      for (const call of callsOf(place)) {
        if (call.reads || call.settled || !call.begun) continue;
        found.set(wide ? EVERY_SLOT : call.slot, call);
      }
    }
    return found;
  }
}

/** True when a command that must come after this one has been sent on its slot, whatever has become of it. */
export function isFollowed(request: Request): boolean {
  for (let place = request.next; place !== undefined; place = place.next) {
    const wide = place instanceof Gathered && place.wide;
    for (const call of callsOf(place)) {
      if (!wide && call.slot !== request.slot) continue;
      if (call.begun && !(call.reads && request.reads)) return true;
    }
  }
  return false;
}

function callsOf(place: Place): readonly Call[] {
  if (place instanceof Request) return [place];
  return place instanceof Gathered ? place.parts : [];
}
