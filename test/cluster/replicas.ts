/** The replicas of a shard, in tests: who they are, what they were asked, and how they come to be behind. */

import type { Cluster, Node } from '../support/cluster.ts';

/** Those that say so themselves now. */
export async function replicasOf(cluster: Cluster, slot: number): Promise<Node[]> {
  const owner = await cluster.ownerOf(slot);
  const lines = String(await cluster.cli(owner.port, 'CLUSTER', 'NODES')).split('\n');
  const mine = lines.filter((line) => line.includes(` slave ${owner.id}`));
  const ids = new Set(mine.map((line) => line.slice(0, line.indexOf(' '))));
  return cluster.nodes.filter(({ id }) => ids.has(id));
}

/**
 * The nodes go on answering reads and execute nothing more of what their primary sends, until `resume`: they are
 * behind. (CLIENT PAUSE WRITE holds the link to the primary up as well.)
 */
export async function hold(cluster: Cluster, nodes: readonly Node[]): Promise<void> {
  for (const { port } of nodes) await cluster.cli(port, 'CLIENT', 'PAUSE', 600_000, 'WRITE');
}

export async function resume(cluster: Cluster, nodes: readonly Node[]): Promise<void> {
  for (const { port } of nodes) await cluster.cli(port, 'CLIENT', 'UNPAUSE');
}

/** How often each node has executed a command. */
export function calls(cluster: Cluster, nodes: readonly Node[], command: string): Promise<number[]> {
  return Promise.all(
    nodes.map(async ({ port }) => {
      const info = String(await cluster.cli(port, 'INFO', 'commandstats'));
      return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(info)?.[1] ?? 0);
    }),
  );
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
