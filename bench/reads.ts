// What `reads.from` costs and saves: the same GETs through proxies in front of one cluster with replicas, each with
// another setting, round by round.
//
//   node bench/reads.ts [--replicas 1] [--rounds 5] [--seconds 2] [--workload get-1,get-16]
//
// Per command: the CPU of the proxy, of the primaries and of the replicas, as the kernel and the nodes count it.

import { parseArgs } from 'node:util';
import { type Cluster, type Node, startCluster } from '../test/support/cluster.ts';
import { end } from '../test/support/reaper.ts';
import { type Endpoint, ownRound, populate } from './loads.ts';
import { align, digits, median } from './report.ts';
import { HOST, startProxy } from './stand.ts';
import { WORKLOADS, type Workload } from './workloads.ts';

const FROM = ['primary', 'prefer-replica', 'any'] as const;
const MAIN = `${import.meta.dirname}/../src/main.ts`;
const FIELDS = ['proxy', 'primaries', 'replicas', 'perSecond'] as const;
const DECIMALS = { proxy: 2, primaries: 2, replicas: 2, perSecond: 0 } as const;
const HEAD = ['reads.from', 'µs CPU of the proxy', 'of the primaries', 'of the replicas', 'commands/s'];

/** One round, per command. */
type Cost = Readonly<Record<(typeof FIELDS)[number], number>>;

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { replicas: text, rounds: text, seconds: text, workload: text } });
  const [rounds, seconds] = [Number(values.rounds ?? 5), Number(values.seconds ?? 2)];
  const names = (values.workload ?? 'get-1,get-16').split(',');
  const cluster = await startCluster({ primaries: 3, replicas: Number(values.replicas ?? 1) });
  const closers = [() => cluster.stop()];
  try {
    const endpoints: Endpoint[] = [];
    for (const from of FROM) {
      const { port, pid, child } = await startProxy(MAIN, cluster, ['--reads.from', from]);
      closers.push(() => end(child!, 'SIGTERM', 9000));
      endpoints.push({ name: from, host: HOST, port, pid });
    }
    for (const workload of WORKLOADS.filter(({ name }) => names.includes(name))) {
      await populate(endpoints[0]!, workload);
      await cluster.settled();
      const costs: Cost[][] = FROM.map(() => []);
      for (let i = 0; i < rounds; i++)
        for (const [which, endpoint] of endpoints.entries())
          costs[which]!.push(await round(cluster, endpoint, workload, seconds));
      console.log(tableOf(`${workload.name}, per command: median of ${rounds} rounds`, costs));
    }
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

async function round(
  cluster: Cluster,
  endpoint: Endpoint,
  workload: Workload,
  seconds: number,
): Promise<Cost> {
  const { primaries } = cluster;
  const replicas = cluster.nodes.filter(({ role }) => role === 'replica');
  const [before, after] = [await cpuOf(cluster, primaries), await cpuOf(cluster, replicas)];
  const asked = await callsOf(cluster);
  const sample = await ownRound(endpoint, workload, { warm: 0.5, seconds, requests: 0, rate: 0 });
  const commands = (await callsOf(cluster)) - asked;
  return {
    proxy: sample.cpu,
    primaries: ((await cpuOf(cluster, primaries)) - before) / commands,
    replicas: ((await cpuOf(cluster, replicas)) - after) / commands,
    perSecond: sample.perSecond,
  };
}

/** Microseconds that nodes have used so far. */
async function cpuOf(cluster: Cluster, nodes: readonly Node[]): Promise<number> {
  const infos = await Promise.all(nodes.map(({ port }) => cluster.cli(port, 'INFO', 'cpu')));
  const field = (info: string, name: string) =>
    Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1] ?? 0);
  return infos
    .map(String)
    .reduce((sum, info) => sum + (field(info, 'used_cpu_sys') + field(info, 'used_cpu_user')) * 1e6, 0);
}

async function callsOf(cluster: Cluster): Promise<number> {
  const infos = await Promise.all(cluster.nodes.map(({ port }) => cluster.cli(port, 'INFO', 'commandstats')));
  return infos.reduce<number>(
    (sum, info) => sum + Number(/cmdstat_get:calls=(\d+)/.exec(String(info))?.[1] ?? 0),
    0,
  );
}

function tableOf(title: string, costs: readonly (readonly Cost[])[]): string {
  const rows = costs.map((rounds, i) => [
    FROM[i]!,
    ...FIELDS.map((field) => digits(median(rounds.map((cost) => cost[field])), DECIMALS[field])),
  ]);
  return [title, align([HEAD, ...rows]), ''].join('\n');
}

try {
  await main();
} catch (error) {
  console.error(`bench: ${(error as Error).message}`);
  process.exitCode = 1;
}
