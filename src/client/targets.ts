// Which nodes a command is sent to when the client says so: redis-py's target nodes. Cold.
//
//   primaries             each shard, by its lowest slot; asked by that slot, so that a failover is followed
//   replicas, all         each node itself; replicas stand behind their primary
//   random                one of all, of the primaries where the command may write
//   <host:port>           that node and no other
//   slot <n>, key <key>   the slot's owner, with redirects followed

import type { Cluster } from '../cluster/cluster.ts';
import type { Node } from '../cluster/node.ts';
import { SLOTS, slotOf } from '../command/slot.ts';
import { ServerError } from './asker.ts';

export interface Target {
  /** `host:port`. */
  readonly name: string;
  /** A slot: whoever owns it. */
  readonly whom: number | Node;
  readonly replica: boolean;
}

const SLOT = /^slot (\d{1,5})$/i;
const KEY = /^key (.*)$/is;
/** As much of a wrong name as an error repeats. */
const ECHO = 128;

/**
 * @param on as above, in any case
 * @param writes the command may write, so replicas may not have it
 * @throws ServerError where there is no such node, or it may not have the command
 */
export function targetsOf(cluster: Cluster, on: string, writes: boolean): Target[] {
  const targets = find(cluster, on, writes);
  if (targets.length === 0)
    throw new ServerError(`CLUSTERDOWN slotless: no node is known for ON ${shown(on)}`);
  if (writes && targets.some(({ replica }) => replica))
    throw new ServerError('ERR a command that may write is not sent to replicas');
  return targets;
}

function find(cluster: Cluster, on: string, writes: boolean): Target[] {
  switch (on.toLowerCase()) {
    case 'primaries':
      return primariesOf(cluster);
    case 'replicas':
      return nodesOf(cluster).filter(({ replica }) => replica);
    case 'all':
      return nodesOf(cluster);
    case 'random': {
      const nodes = writes ? primariesOf(cluster) : nodesOf(cluster);
      return nodes.length === 0 ? [] : [nodes[Math.floor(Math.random() * nodes.length)]!];
    }
  }
  const slot = slotIn(on);
  if (slot !== undefined) return ofSlot(cluster, slot);
  const found = nodeNamed(cluster, on);
  if (found === undefined)
    throw new ServerError(
      on.includes(':')
        ? `ERR there is no node ${shown(on)} in the cluster`
        : `ERR ON must be primaries, replicas, all, random, <host:port>, SLOT <n> or KEY <key>, not '${shown(on)}'`,
    );
  return [{ name: found.node.address, whom: found.node, replica: !found.primary }];
}

function slotIn(on: string): number | undefined {
  const slot = SLOT.exec(on)?.[1];
  if (slot !== undefined) return Number(slot);
  const key = KEY.exec(on)?.[1];
  return key === undefined ? undefined : slotOfText(key);
}

function slotOfText(key: string): number {
  const bytes = Buffer.from(key);
  return slotOf(bytes, 0, bytes.length);
}

function ofSlot(cluster: Cluster, slot: number): Target[] {
  if (slot >= SLOTS) throw new ServerError('ERR Invalid slot');
  const owner = cluster.primaryOf(slot);
  return owner === undefined ? [] : [{ name: owner.address, whom: slot, replica: false }];
}

function primariesOf(cluster: Cluster): Target[] {
  return shardSlots(cluster).map((slot) => ({
    name: cluster.primaryOf(slot)!.address,
    whom: slot,
    replica: false,
  }));
}

/** All nodes by their shard's lowest slot; a primary without slots has none of the data and is left out. */
function nodesOf(cluster: Cluster): Target[] {
  const shards = Map.groupBy(cluster.allNodes(), ({ shard }) => shard);
  return shardSlots(cluster).flatMap((slot) =>
    shards.get(cluster.slots[slot]!)!.map(({ node, primary }) => ({
      name: node.address,
      whom: primary ? slot : node,
      replica: !primary,
    })),
  );
}

function shardSlots(cluster: Cluster): number[] {
  return cluster.shardSlots().toSorted((a, b) => a - b);
}

/** The node of a `host:port`, if the cluster has it. */
export function nodeNamed(cluster: Cluster, name: string): { node: Node; primary: boolean } | undefined {
  return cluster.allNodes().find(({ node }) => node.address === name);
}

function shown(text: string): string {
  return text.slice(0, ECHO);
}
