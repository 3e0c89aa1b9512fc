// Promise: two commands of a client on one slot reach the data in the order they were sent. Hot.
//
// Links are FIFOs, so this needs care only when the second command would take another road than the first:
// when the map has changed, when the first was redirected or waits, or when it has several keys and may be told
// to try again while a later one is executed. Such calls are counted as loose. While there are any, or calls
// are under way that were sent by another map, a command that could overtake one must wait. A command that goes
// to every shard (FLUSHALL) touches every slot: all others wait for it, and it for all that are loose.

import type { Call } from '../cluster/call.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Topology } from '../cluster/topology.ts';
import { Gathered } from './gathered.ts';
import type { Place, Replies } from './replies.ts';
import { Request } from './request.ts';

/** In place of a slot: every slot. */
export const EVERY_SLOT = -1;

export class Order {
  /** Calls without an answer. */
  inFlight = 0;

  private readonly cluster: Cluster;
  private readonly replies: Replies;
  private loose = 0;
  /** By slot: the last write under way; for one lost link. */
  private lastWrites: Map<number, Call> | undefined = undefined;
  /** The map by which all calls under way were sent, as far as is known. */
  private map: Topology;

  constructor(cluster: Cluster, replies: Replies) {
    this.cluster = cluster;
    this.replies = replies;
    this.map = cluster.topology;
  }

  started(call: Call): void {
    if (this.inFlight++ === 0) this.map = this.cluster.topology;
    if (call.loose) this.loose++;
  }

  loosened(call: Call): void {
    if (call.loose) return;
    call.loose = true;
    this.loose++;
  }

  settled(call: Call): void {
    this.inFlight--;
    if (call.loose) this.loose--;
  }

  /** True while a command for `slot` could overtake one that is under way. `reads`: it changes nothing. */
  mustWait(slot: number, reads: boolean): boolean {
    if (this.inFlight === 0 || (this.loose === 0 && this.map === this.cluster.topology)) return false;
    return this.search(slot, reads);
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
        if (call.reads || call.settled || call.node === undefined) continue;
        found.set(wide ? EVERY_SLOT : call.slot, call);
      }
    }
    return found;
  }

  private search(slot: number, reads: boolean): boolean {
    let misplaced = false;
    for (let place = this.replies.front; place !== undefined; place = place.next) {
      const wide = place instanceof Gathered && place.wide;
      for (const call of callsOf(place)) {
        if (call.settled) continue;
        if (wide) return true;
        const away = call.node === undefined || call.node !== this.cluster.ownerOf(call.slot);
        // Two reads may change places: neither can tell.
        const matters = (slot === EVERY_SLOT || call.slot === slot) && !(reads && call.reads);
        if (matters && (away || call.loose)) return true;
        misplaced ||= away;
      }
    }
    if (!misplaced) this.map = this.cluster.topology;
    return false;
  }
}

function callsOf(place: Place): readonly Call[] {
  if (place instanceof Request) return [place];
  return place instanceof Gathered ? place.parts : [];
}
