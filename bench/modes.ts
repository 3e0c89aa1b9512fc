// What `pubsub.mode: sharded` saves: the same messages to the same subscribers through two proxies in front of one
// cluster, one in each mode, round by round, at several sizes of the cluster.
//
//   node bench/modes.ts [--primaries 3,9] [--rounds 5] [--seconds 2] [--json FILE]
//
// In mode cluster a node passes what is published on to all others; in mode sharded to its own shard alone. So what
// counts is the CPU of all nodes together, and what they send over the bus; all per published message, as the nodes
// count them. Nodes are looked at before and after a whole round, its connecting included; the proxy's CPU is that
// of the measured span.

import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Cluster, startCluster } from '../test/support/cluster.ts';
import { end } from '../test/support/reaper.ts';
import { type Endpoint, ownRound } from './loads.ts';
import { align, digits, median } from './report.ts';
import { HOST, startProxy } from './stand.ts';
import { WORKLOADS } from './workloads.ts';

const MODES = ['cluster', 'sharded'] as const;
const WORKLOAD = WORKLOADS.find(({ name }) => name === 'publish-100x1')!;
const MAIN = `${import.meta.dirname}/../src/main.ts`;

/** What all nodes of a cluster have done so far. */
interface Books {
  /** Microseconds. */
  readonly cpu: number;
  /** PUBLISH and SPUBLISH. */
  readonly published: number;
  /** Messages of channels that were sent over the bus, and bytes of all that was. */
  readonly busMessages: number;
  readonly busBytes: number;
}

/** One round, per published message. */
interface Cost {
  readonly nodes: number;
  readonly proxy: number;
  readonly busMessages: number;
  readonly busBytes: number;
  readonly perSecond: number;
}

const FIELDS = ['nodes', 'proxy', 'busMessages', 'busBytes', 'perSecond'] as const;
const HEAD = [
  '',
  'µs CPU of all nodes',
  'of the proxy',
  'messages on the bus',
  'bytes on the bus',
  'published/s',
];
const DECIMALS = { nodes: 2, proxy: 2, busMessages: 2, busBytes: 0, perSecond: 0 } as const;

async function main(): Promise<void> {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({ options: { primaries: text, rounds: text, seconds: text, json: text } });
  const sizes = (values.primaries ?? '3,9').split(',').map(Number);
  const [rounds, seconds] = [Number(values.rounds ?? 5), Number(values.seconds ?? 2)];
  const results = [];
  for (const primaries of sizes) {
    const costs = await compare(primaries, rounds, seconds);
    console.log(tableOf(`${primaries} primaries, per published message: median of ${rounds} rounds`, costs));
    results.push({ primaries, costs });
  }
  if (values.json === undefined) return;
  await writeFile(values.json, `${JSON.stringify({ at: new Date().toISOString(), results }, null, 2)}\n`);
}

async function compare(primaries: number, rounds: number, seconds: number): Promise<Cost[][]> {
  const cluster = await startCluster({ primaries, replicas: 0 });
  const closers = [() => cluster.stop()];
  try {
    const endpoints: Endpoint[] = [];
    for (const mode of MODES) {
      const { port, pid, child } = await startProxy(MAIN, cluster, ['--pubsub.mode', mode]);
      closers.push(() => end(child!, 'SIGTERM', 3000));
      endpoints.push({ name: mode, host: HOST, port, pid });
    }
    const costs: Cost[][] = MODES.map(() => []);
    for (let i = 0; i < rounds; i++)
      for (const [mode, endpoint] of endpoints.entries())
        costs[mode]!.push(await round(cluster, endpoint, seconds));
    return costs;
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

async function round(cluster: Cluster, endpoint: Endpoint, seconds: number): Promise<Cost> {
  const before = await booksOf(cluster);
  const sample = await ownRound(endpoint, WORKLOAD, { warm: 0.5, seconds, requests: 0, rate: 0 });
  const after = await booksOf(cluster);
  const published = after.published - before.published;
  return {
    nodes: (after.cpu - before.cpu) / published,
    // Each message has one receiver.
    proxy: sample.cpu,
    busMessages: (after.busMessages - before.busMessages) / published,
    busBytes: (after.busBytes - before.busBytes) / published,
    perSecond: sample.perSecond,
  };
}

async function booksOf(cluster: Cluster): Promise<Books> {
  const all = await Promise.all(cluster.nodes.map(({ port, pid }) => booksOfNode(cluster, port, pid)));
  const sum = (field: keyof Books) => all.reduce((total, books) => total + books[field], 0);
  return {
    cpu: sum('cpu'),
    published: sum('published'),
    busMessages: sum('busMessages'),
    busBytes: sum('busBytes'),
  };
}

async function booksOfNode(cluster: Cluster, port: number, pid: number): Promise<Books> {
  const info = String(await cluster.cli(port, 'INFO', 'everything'));
  const bus = String(await cluster.cli(port, 'CLUSTER', 'INFO'));
  return {
    cpu: (number(info, /^used_cpu_sys:([\d.]+)/m) + number(info, /^used_cpu_user:([\d.]+)/m)) * 1e6,
    published: number(info, /^cmdstat_publish:calls=(\d+)/m) + number(info, /^cmdstat_spublish:calls=(\d+)/m),
    busMessages:
      number(bus, /^cluster_stats_messages_publish_sent:(\d+)/m) +
      number(bus, /^cluster_stats_messages_publishshard_sent:(\d+)/m),
    busBytes: bytesWritten(pid) - number(info, /^total_net_output_bytes:(\d+)/m),
  };
}

/** All bytes that a process has written, to sockets, too. Source: proc(5). What of them no client got, the bus did. */
function bytesWritten(pid: number): number {
  return number(readFileSync(`/proc/${pid}/io`, 'utf8'), /^wchar: (\d+)/m);
}

/** 0 where it is not said: counters appear with the first event. */
function number(text: string, what: RegExp): number {
  return Number(what.exec(text)?.[1] ?? 0);
}

function tableOf(title: string, costs: readonly (readonly Cost[])[]): string {
  const rows = costs.map((rounds, i) => [
    MODES[i]!,
    ...FIELDS.map((field) => digits(median(rounds.map((cost) => cost[field])), DECIMALS[field])),
  ]);
  const ratios = FIELDS.map((field) => {
    const [whole, sharded] = costs;
    return digits(median(sharded!.map((cost, i) => cost[field] / whole![i]![field])), 2);
  });
  return [title, align([HEAD, ...rows, ['sharded : cluster', ...ratios]]), ''].join('\n');
}

try {
  await main();
} catch (error) {
  console.error(`bench: ${(error as Error).message}`);
  process.exitCode = 1;
}
