/** Own reads over replicas that are behind, with `reads.ownWrites` and without, on one cluster. */

import { type Cluster, startCluster } from '../support/cluster.ts';
import { startProxy } from '../support/proxy.ts';
import type { Server } from '../support/servers.ts';
import { Lag } from './lag.ts';
import { type PairCount, playPairs } from './pairs.ts';

export interface BehindOptions {
  readonly pairs: number;
  readonly clients: number;
  readonly workers: number;
  /** Replicas are up to so many ms behind. */
  readonly lag: number;
}

export interface BehindCount extends PairCount {
  /** GETs that replicas have answered. */
  readonly byReplicas: number;
}

/** `sure` is with the default of `reads.ownWrites`, `bare` with `off`. `tell` hears of each when it is there. */
export async function compareOwnReads(
  server: Server,
  options: BehindOptions,
  tell: (what: string, count: BehindCount) => void = () => {},
): Promise<{ sure: BehindCount; bare: BehindCount }> {
  const cluster = await startCluster({ server });
  let lag: Lag | undefined;
  try {
    lag = await Lag.open(cluster);
    lag.begin(options.lag);
    const sure = await run(cluster, lag, options, {});
    tell('reads.ownWrites', sure);
    const bare = await run(cluster, lag, options, { 'reads.ownWrites': 'off' });
    tell('reads.ownWrites: off', bare);
    return { sure, bare };
  } finally {
    lag?.close();
    await cluster.stop();
  }
}

async function run(
  cluster: Cluster,
  { natMap }: Lag,
  { workers, pairs, clients }: BehindOptions,
  own: Record<string, string>,
): Promise<BehindCount> {
  const settings = { workers, natMap, 'reads.from': 'prefer-replica', ...own };
  const proxy = await startProxy({ cluster, settings });
  try {
    const before = await readsOfReplicas(cluster);
    const count = await playPairs({ port: proxy.port, run: String(proxy.port), clients, pairs });
    return { ...count, byReplicas: (await readsOfReplicas(cluster)) - before };
  } finally {
    await proxy.stop();
  }
}

async function readsOfReplicas(cluster: Cluster): Promise<number> {
  let sum = 0;
  for (const { port, role } of cluster.nodes) {
    if (role === 'primary') continue;
    const stats = String(await cluster.cli(port, 'INFO', 'commandstats'));
    sum += Number(/cmdstat_get:calls=(\d+)/.exec(stats)?.[1] ?? 0);
  }
  return sum;
}
