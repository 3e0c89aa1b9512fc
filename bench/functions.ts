// What a fan-out costs: RMR.FANOUT sum DBSIZE over so many primaries, beside a client that does the same with
// connections of its own. Started by hand: node bench/functions.ts [--primaries 3,9,30] [--seconds 2] [--rounds 3]
//
//   tfcall   client -- TFCALLASYNC --> proxy, a function on a thread ==> a cluster function for each primary
//   rmr      client -- RMR.FANOUT sum DBSIZE --> proxy ==> all primaries
//   own      client ==> all primaries, and adds up what they say
//   dbsize   client -- DBSIZE --> proxy ==> all primaries: what the proxy merges by itself, for comparison
//
// One call at a time, in turns: a round of each, and again. CPU per call is that of the client, which is this process,
// and of the proxy, by the kernel's books (account.ts); a round should be long enough for a second of it or more. The
// medians of the rounds count.

import { parseArgs } from 'node:util';
import type { RawClient } from '../test/support/client.ts';
import { connect } from '../test/support/client.ts';
import { startCluster } from '../test/support/cluster.ts';
import { startProxy } from '../test/support/proxy.ts';
import { cpuSeconds } from './account.ts';
import { Histogram } from './histogram.ts';
import { median } from './report.ts';

interface Road {
  readonly name: string;
  /** The sum of all DBSIZEs. */
  call(): Promise<unknown>;
}

interface Round {
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Microseconds of CPU per call. */
  readonly client: number;
  readonly proxy: number;
}

const KEYS = 1000;
/** As in RedisGears' own documentation. */
const LIBRARY = `#!js name=bench api_version=1.0
redis.registerClusterFunction("dbsize", async (client) => client.block((client) => client.call("dbsize").toString()));
redis.registerAsyncFunction("size", async (client) => {
  const [results, errors] = await client.runOnShards("dbsize");
  if (errors.length > 0) return errors;
  return results.reduce((sum, size) => sum + BigInt(size), 0n);
});`;

const { values } = parseArgs({
  options: {
    primaries: { type: 'string', default: '3,9,30' },
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '3' },
  },
});

console.log('primaries  road      p50 ms   p99 ms   client µs   proxy µs   (CPU per call)');
for (const primaries of values.primaries.split(',').map(Number)) await over(primaries);

async function over(primaries: number): Promise<void> {
  const cluster = await startCluster({ primaries, replicas: 0 });
  const proxy = await startProxy({ cluster });
  const clients: RawClient[] = [];
  try {
    const client = await proxy.connect();
    const own = await Promise.all(cluster.nodes.map(({ port }) => connect(port)));
    clients.push(client, ...own);
    const roads: Road[] = [
      { name: 'tfcall', call: () => client.ask('TFCALLASYNC', 'bench.size', 0) },
      { name: 'rmr', call: () => client.ask('RMR.FANOUT', 'sum', 'DBSIZE') },
      {
        name: 'own',
        call: async () => {
          const sizes = await Promise.all(own.map((one) => one.ask('DBSIZE')));
          return sizes.reduce((sum: number, size) => sum + Number(size), 0);
        },
      },
      { name: 'dbsize', call: () => client.ask('DBSIZE') },
    ];
    await client.ask('TFUNCTION', 'LOAD', LIBRARY);
    await fill(client);
    for (const row of await measured(roads, proxy.pid))
      console.log(`${String(primaries).padStart(9)}  ${row}`);
  } finally {
    for (const client of clients) client.destroy();
    await proxy.stop();
    await cluster.stop();
  }
}

async function fill(client: RawClient): Promise<void> {
  await client.pipeline(Array.from({ length: KEYS }, (_, i) => ['SET', `key:${i}`, i]));
}

/** A line of the table for each road. */
async function measured(roads: readonly Road[], pid: number): Promise<string[]> {
  const rounds = roads.map((): Round[] => []);
  for (let i = 0; i < Number(values.rounds); i++)
    for (const [r, road] of roads.entries()) rounds[r]!.push(await round(road, pid, Number(values.seconds)));
  return roads.map(({ name }, r) => {
    const figure = (field: keyof Round, digits: number, width: number) =>
      median(rounds[r]!.map((one) => one[field]))
        .toFixed(digits)
        .padStart(width);
    return `${name.padEnd(8)}${figure('p50', 3, 8)} ${figure('p99', 3, 8)} ${figure('client', 1, 11)} ${figure('proxy', 1, 10)}`;
  });
}

async function round({ name, call }: Road, pid: number, seconds: number): Promise<Round> {
  const sum = await call();
  if (sum !== KEYS) throw new Error(`${name} says ${String(sum)}`);
  const latency = new Histogram();
  const before = { client: cpuSeconds(process.pid), proxy: cpuSeconds(pid) };
  let calls = 0;
  for (const end = performance.now() + seconds * 1000; performance.now() < end; calls++) {
    const from = performance.now();
    await call();
    latency.add(performance.now() - from, 1);
  }
  const perCall = (cpu: number) => (cpu * 1e6) / calls;
  return {
    p50: latency.quantile(0.5),
    p99: latency.quantile(0.99),
    client: perCall(cpuSeconds(process.pid) - before.client),
    proxy: perCall(cpuSeconds(pid) - before.proxy),
  };
}
