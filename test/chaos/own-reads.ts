/**
 * `node test/chaos/own-reads.ts [--pairs 1000000] [--flavour redis|valkey] [--lag 300] [--clients 64]`
 *
 * Clients write and then read what they have written, over replicas that are behind: with `reads.ownWrites` (its
 * default), and without it. No own read may be stale with it; without it some must be, else nothing was behind and
 * the first figure means nothing. How many reads the replicas have answered is told by themselves.
 */

import { parseArgs } from 'node:util';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { startProxy } from '../support/proxy.ts';
import { availableServers, type Server } from '../support/servers.ts';
import { Lag } from './lag.ts';
import { type PairCount, playPairs } from './pairs.ts';

const one = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    pairs: { ...one, default: '1000000' },
    flavour: one,
    lag: { ...one, default: '300' },
    clients: { ...one, default: '64' },
    workers: { ...one, default: '2' },
  },
});

for (const server of await availableServers()) {
  if (values.flavour !== undefined && server.flavour !== values.flavour) continue;
  await compare(server);
}

async function compare(server: Server): Promise<void> {
  const cluster = await startCluster({ server });
  const lag = await Lag.open(cluster);
  try {
    lag.begin(Number(values.lag));
    const sure = await run(cluster, lag, {});
    tell(server, 'reads.ownWrites', sure);
    const bare = await run(cluster, lag, { 'reads.ownWrites': 'off' });
    tell(server, 'reads.ownWrites: off', bare);
    if (sure.stale + sure.wrong + sure.errors.size > 0 || sure.byReplicas === 0) process.exitCode = 1;
    if (bare.stale === 0) {
      console.log('nothing was stale without it either: the replicas were not behind');
      process.exitCode = 1;
    }
  } finally {
    lag.close();
    await cluster.stop();
  }
}

async function run(cluster: Cluster, { natMap }: Lag, own: Record<string, string>) {
  const settings = { workers: Number(values.workers), natMap, 'reads.from': 'prefer-replica', ...own };
  const proxy = await startProxy({ cluster, settings });
  try {
    const before = await readsOfReplicas(cluster);
    const count = await playPairs({
      port: proxy.port,
      run: String(proxy.port),
      clients: Number(values.clients),
      pairs: Number(values.pairs),
    });
    return { ...count, byReplicas: (await readsOfReplicas(cluster)) - before };
  } finally {
    await proxy.stop();
  }
}

function tell({ flavour, version }: Server, what: string, count: PairCount & { byReplicas: number }): void {
  const { reads, stale, wrong, errors, byReplicas } = count;
  const pairs = `${values.pairs} pairs, ${reads} reads of own keys, ${byReplicas} of them answered by replicas`;
  console.log(`${flavour} ${version}, ${what}: ${pairs}: ${stale} stale, ${wrong} wrong`);
  for (const [text, times] of errors) console.log(`  ${times} x ${text}`);
}

/** GETs that replicas have answered. */
async function readsOfReplicas(cluster: Cluster): Promise<number> {
  let sum = 0;
  for (const { port, role } of cluster.nodes) {
    if (role === 'primary') continue;
    const stats = String(await cluster.cli(port, 'INFO', 'commandstats'));
    sum += Number(/cmdstat_get:calls=(\d+)/.exec(stats)?.[1] ?? 0);
  }
  return sum;
}
