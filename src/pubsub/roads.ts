// Where what clients publish goes: by the channel's slot, to one node.
//
// That is the slot's owner at first, and stays this node when the slot moves or the node becomes a replica: any node
// passes a message on to all others, and on two roads two messages could change places. Only when the node is lost or
// leaves the map another is taken.

import type { Cluster } from '../cluster/cluster.ts';
import type { Node } from '../cluster/node.ts';
import { SLOTS, type Topology } from '../cluster/topology.ts';
import type { Lost } from './lost.ts';
import { ANY } from './names.ts';
import { candidates } from './places.ts';

export class Roads {
  private readonly cluster: Cluster;
  private readonly lost: Lost;
  private readonly bySlot: (Node | undefined)[] = new Array(SLOTS).fill(undefined);

  constructor(cluster: Cluster, lost: Lost) {
    this.cluster = cluster;
    this.lost = lost;
  }

  /** The node for a slot's channels. */
  of(slot: number, map: Topology): Node | undefined {
    const road = this.bySlot[slot];
    if (road !== undefined) return road;
    const best = this.lost.best(candidates(map, ANY, slot, false));
    if (best === undefined) return undefined;
    const node = this.cluster.known(best.host, best.port);
    this.bySlot[slot] = node;
    return node;
  }

  /** Others are taken in place of nodes, by their address. */
  leave(gone: (address: string) => boolean): void {
    for (let slot = 0; slot < SLOTS; slot++) {
      const road = this.bySlot[slot];
      if (road !== undefined && gone(road.address)) this.bySlot[slot] = undefined;
    }
    this.cluster.roads++;
  }
}
