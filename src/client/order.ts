// Promise: two commands of a client on one slot reach the data in the order they were sent. Hot.
//
// Links are FIFOs, so this needs care only when the second command would take another road than the first:
// when the map has changed, when the first was redirected or waits, or when it has several keys and may be told
// to try again while a later one is executed. Such calls are counted as loose. While there are any, or calls
// are under way that were sent by another map, a command that could overtake one must wait.

import type { Call } from '../cluster/call.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Topology } from '../cluster/topology.ts';
import type { Replies } from './replies.ts';
import { Gathered, Request } from './request.ts';

/** In place of a slot: every slot. */
export const EVERY_SLOT = -1;

export class Order {
  /** Calls without an answer. */
  inFlight = 0;

  private readonly cluster: Cluster;
  private readonly replies: Replies;
  private loose = 0;
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

  /** True while a command for `slot` could overtake one that is under way. */
  mustWait(slot: number): boolean {
    if (this.inFlight === 0 || (this.loose === 0 && this.map === this.cluster.topology)) return false;
    return this.search(slot);
  }

  private search(slot: number): boolean {
    let misplaced = false;
    for (let place = this.replies.front; place !== undefined; place = place.next) {
      const calls = place instanceof Request ? [place] : place instanceof Gathered ? place.parts : [];
      for (const call of calls) {
        if (call.settled || call.slot < 0) continue;
        const away = call.node === undefined || call.node !== this.cluster.ownerOf(call.slot);
        if (slot === EVERY_SLOT ? away : call.slot === slot && (away || call.loose)) return true;
        misplaced ||= away;
      }
    }
    if (!misplaced) this.map = this.cluster.topology;
    return false;
  }
}
