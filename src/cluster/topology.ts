// The map: which shard owns each slot, and which nodes a shard has. Immutable; a change is a new map with a
// higher version. Plain data, so that it travels between threads as it is.
//
// Views of several nodes are reconciled slot by slot: an owner that a majority names wins, else the one that
// the view with the highest epoch names. A node on the wrong side of a partition is so outvoted, and during a
// resharding, when no two views are quite the same, the slots that all agree on stay settled.

export const SLOTS = 16384;
/** In `Topology.slots`: nobody owns the slot. */
export const NO_SHARD = 0xffff;

export interface NodeInfo {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  /** Set when the node gave a host name beside its address, or the reverse. */
  readonly hostname: string;
}

export interface Shard {
  readonly primary: NodeInfo;
  readonly replicas: readonly NodeInfo[];
}

export interface Topology {
  readonly version: number;
  /** The cluster's current epoch, of the view that won. */
  readonly epoch: number;
  /** Index into `shards` for each slot, or NO_SHARD. */
  readonly slots: Uint16Array;
  /** Ordered by lowest slot. */
  readonly shards: readonly Shard[];
}

/** What one node says: ranges with their nodes, the primary first. */
export interface View {
  readonly epoch: number;
  readonly ranges: readonly {
    readonly from: number;
    readonly to: number;
    readonly nodes: readonly NodeInfo[];
  }[];
}

export const EMPTY: Topology = {
  version: 0,
  epoch: 0,
  slots: new Uint16Array(SLOTS).fill(NO_SHARD),
  shards: [],
};

/** One map out of what several nodes say. The views are in no order; none gives the empty map. */
export function reconcile(views: readonly View[], version: number): Topology {
  const byEpoch = [...views].sort((a, b) => b.epoch - a.epoch);
  const primaries: NodeInfo[] = [];
  const replicasOf: Map<string, NodeInfo>[] = [];
  const indexOf = new Map<string, number>();
  const maps = byEpoch.map((view) => {
    const owners = new Uint16Array(SLOTS).fill(NO_SHARD);
    for (const { from, to, nodes } of view.ranges) {
      const [primary, ...replicas] = nodes;
      if (primary === undefined) continue;
      let index = indexOf.get(primary.id);
      if (index === undefined) {
        index = primaries.length;
        indexOf.set(primary.id, index);
        primaries.push(primary);
        replicasOf.push(new Map());
      }
      owners.fill(index, from, to + 1);
      // The view with the highest epoch comes first, and its word on a shard's replicas counts.
      if (view === byEpoch[0] || replicasOf[index]!.size === 0)
        for (const replica of replicas) replicasOf[index]!.set(replica.id, replica);
    }
    return owners;
  });
  const slots = new Uint16Array(SLOTS).fill(NO_SHARD);
  for (let slot = 0; slot < SLOTS; slot++) slots[slot] = vote(maps, slot);
  return ordered({
    version,
    epoch: byEpoch[0]?.epoch ?? 0,
    slots,
    shards: primaries.map((primary, i) => ({ primary, replicas: [...replicasOf[i]!.values()] })),
  });
}

function vote(maps: readonly Uint16Array[], slot: number): number {
  const first = maps[0]?.[slot] ?? NO_SHARD;
  for (const map of maps) {
    const owner = map[slot]!;
    let votes = 0;
    for (const other of maps) if (other[slot] === owner) votes++;
    if (votes * 2 > maps.length) return owner;
  }
  return first;
}

/** Shards sorted by their lowest slot; those without slots are left out. */
function ordered(map: Topology): Topology {
  const order: number[] = [];
  const place = new Map<number, number>();
  for (const index of map.slots) {
    if (index === NO_SHARD || place.has(index)) continue;
    place.set(index, order.length);
    order.push(index);
  }
  return {
    ...map,
    slots: map.slots.map((index) => place.get(index) ?? NO_SHARD),
    shards: order.map((index) => map.shards[index]!),
  };
}

/** The map with one slot moved to the node at an address, as a MOVED says. */
export function withMoved(map: Topology, slot: number, host: string, port: number): Topology {
  const index = map.shards.findIndex(({ primary }) => primary.host === host && primary.port === port);
  if (index >= 0 && map.slots[slot] === index) return map;
  const slots = map.slots.slice();
  if (index >= 0) {
    slots[slot] = index;
    return { ...map, version: map.version + 1, slots };
  }
  slots[slot] = map.shards.length;
  // A replica that has become the primary takes its shard's slots when the next view says so; until then this one.
  const known = map.shards
    .flatMap(({ replicas }) => replicas)
    .find((node) => node.host === host && node.port === port);
  const primary = known ?? { id: '', host, port, hostname: '' };
  return { ...map, version: map.version + 1, slots, shards: [...map.shards, { primary, replicas: [] }] };
}

/** True when both say the same of every slot and node. */
export function sameTopology(a: Topology, b: Topology): boolean {
  if (a.shards.length !== b.shards.length || !a.slots.every((index, slot) => index === b.slots[slot]))
    return false;
  const names = (map: Topology) =>
    map.shards.map(({ primary, replicas }) =>
      [primary, ...replicas.toSorted((x, y) => (x.id < y.id ? -1 : 1))]
        .map((n) => `${n.id}@${n.host}:${n.port}`)
        .join(),
    );
  const theirs = names(b);
  return names(a).every((name, i) => name === theirs[i]);
}

/** The end of the contiguous run of slots, from `slot` on, that the same shard owns. */
export function runEnd(map: Topology, slot: number): number {
  const owner = map.slots[slot];
  let end = slot;
  while (end + 1 < SLOTS && map.slots[end + 1] === owner) end++;
  return end;
}
