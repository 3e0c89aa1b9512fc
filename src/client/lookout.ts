// Tells those who wait at a node when the map of the slots has changed: a node that has lost a slot sends on who is
// blocked there within a second, and one that hangs never. Cold.

import type { Cluster } from '../cluster/cluster.ts';
import type { Topology } from '../cluster/topology.ts';

const LOOK_EVERY = 250;

/** Who waits at a node. */
export interface Waiting {
  /** The map is another. */
  look(): void;
}

interface Watch {
  readonly waiting: Set<Waiting>;
  readonly timer: NodeJS.Timeout;
}

const watches = new WeakMap<Cluster, Watch>();

/** Has somebody look whenever the map has changed. Returns what ends that. */
export function watch(cluster: Cluster, who: Waiting): () => void {
  let found = watches.get(cluster);
  if (found === undefined) {
    let seen: Topology = cluster.topology;
    const all = new Set<Waiting>();
    const timer = setInterval(() => {
      if (cluster.topology === seen) return;
      seen = cluster.topology;
      for (const each of all) each.look();
    }, LOOK_EVERY);
    found = { waiting: all, timer };
    watches.set(cluster, found);
  }
  const { waiting, timer } = found;
  waiting.add(who);
  return () => {
    waiting.delete(who);
    if (waiting.size > 0) return;
    clearInterval(timer);
    watches.delete(cluster);
  };
}
