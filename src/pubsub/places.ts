// At which nodes a subscription is to be had. Decides, and does no I/O.
//
//   any node    the owner of the name's slot first; then its replicas, the other primaries, the other replicas
//   one shard   the owner of the slot; its replicas while that is lost
//   keys        every node: what replicas say is heard, and counts once they are promoted
//
// Replicas are subscribed to beforehand so that nothing is missed when one of them is promoted.

import { NO_SHARD, type NodeInfo, type Topology } from '../cluster/topology.ts';
import { ANY, ONE_SHARD, type Scope } from './names.ts';

/**
 * Nodes for a subscription that is heard at one node, the best first. None where the map is empty.
 * @param byReplicas the nodes of a shard share its slots; else its primary has them all
 */
export function candidates(map: Topology, scope: Scope, slot: number, byReplicas: boolean): NodeInfo[] {
  const { shards, slots } = map;
  const owner = slots[slot] ?? NO_SHARD;
  const first = owner === NO_SHARD ? slot % Math.max(shards.length, 1) : owner;
  const shard = shards[first];
  if (shard === undefined) return [];
  const own = [shard.primary, ...shard.replicas];
  if (scope === ONE_SHARD) return own;
  if (byReplicas) own.unshift(...own.splice(Math.floor(slot / shards.length) % own.length));
  // Each slot begins elsewhere, so that what a lost node had is spread over all others.
  const others = shards.filter((other) => other !== shard);
  others.unshift(...others.splice(slot % Math.max(others.length, 1)));
  return [...own, ...others.map(({ primary }) => primary), ...others.flatMap(({ replicas }) => replicas)];
}

/** Every node at which a subscription about keys must be heard, or may have to be. */
export function keyNodes({ shards }: Topology): NodeInfo[] {
  return shards.flatMap(({ primary, replicas }) => [primary, ...replicas]);
}

/** It is heard at one node. */
export function isSingle(scope: Scope): boolean {
  return scope === ANY || scope === ONE_SHARD;
}
