// What ordinary clients notice of hostile libraries: the p99 of GET by 50 connections, alone and while three clients
// call one of them again and again. Started by hand: node bench/hostile.ts [--seconds 2] [--rounds 3] [--rate N]
//   [--workers 1] [--only WORD]
//
// Closed loop, or N commands per second (open loop). Alone and attacked take turns: each attack has a round without it
// just before. The ratio is that of the medians of the rounds. The first row says what of it is the machine's: there a
// process that only burns CPU takes the place of the library.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { HOSTILE, type Hostile } from '../test/functions/hostile.ts';
import type { RawClient } from '../test/support/client.ts';
import { startCluster } from '../test/support/cluster.ts';
import { type RunningProxy, startProxy } from '../test/support/proxy.ts';
import { type Endpoint, ownRound, populate } from './loads.ts';
import type { Sample } from './meter.ts';
import { median } from './report.ts';
import { WORKLOADS } from './workloads.ts';

const ATTACKERS = 3;
const NICENESS = 10;
/** For comparison: functions that do no harm, called as often. */
const HARMLESS: Hostile = {
  what: 'none of them: a function that does nothing',
  code: "redis.registerFunction('f', () => 1);",
  at: 'call',
  error: /^$/,
};

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    seconds: { ...text, default: '2' },
    rounds: { ...text, default: '3' },
    rate: { ...text, default: '0' },
    workers: { ...text, default: '1' },
    only: { ...text, default: '' },
  },
});
const span = { warm: 0.5, seconds: Number(values.seconds), requests: 0, rate: Number(values.rate) };
const workload = WORKLOADS.find(({ name }) => name === 'get-1')!;

const cluster = await startCluster({ replicas: 0 });
const proxy = await startProxy({ cluster, settings: { workers: Number(values.workers) } });
try {
  const endpoint: Endpoint = { name: 'proxy', host: '127.0.0.1', port: proxy.port, pid: proxy.pid };
  await populate(endpoint, workload);
  console.log('calls/s   p50 ms   p99 ms   GET/s   | alone: p50 ms   p99 ms   GET/s   | p99 ratio');
  console.log(await row(endpoint, 'nothing at the proxy: a process beside it that is busy', beside));
  for (const hostile of [HARMLESS, ...HOSTILE].filter(({ what }) => what.includes(values.only)))
    console.log(await row(endpoint, hostile.what, () => begin(proxy, hostile)));
} finally {
  await proxy.stop();
  await cluster.stop();
}

async function row(endpoint: Endpoint, what: string, start: () => Promise<Attack>): Promise<string> {
  const alone: Sample[] = [];
  const attacked: Sample[] = [];
  const pace: number[] = [];
  for (let i = 0; i < Number(values.rounds); i++) {
    alone.push(await ownRound(endpoint, workload, span));
    const attack = await start();
    attacked.push(await ownRound(endpoint, workload, span));
    pace.push(await attack.end());
  }
  const figures = (samples: readonly Sample[]) =>
    [of(samples, 'p50').toFixed(2), of(samples, 'p99').toFixed(2), of(samples, 'perSecond').toFixed(0)]
      .map((figure) => figure.padStart(8))
      .join(' ');
  const ratio = of(attacked, 'p99') / of(alone, 'p99');
  const calls = median(pace).toFixed(1).padStart(7);
  return `${calls} ${figures(attacked)}  | ${figures(alone).padStart(31)}  | ${ratio.toFixed(2).padStart(9)}  ${what}`;
}

function of(samples: readonly Sample[], field: 'p50' | 'p99' | 'perSecond'): number {
  return median(samples.map((sample) => sample[field]));
}

/** Something goes on until `end`, which gives how many calls a second were answered. */
interface Attack {
  end(): Promise<number>;
}

/** What the machine itself makes of it when one processor more is busy, at the priority of a function thread. */
async function beside(): Promise<Attack> {
  const busy = spawn(process.execPath, ['-e', 'for (;;);']);
  await once(busy, 'spawn');
  setPriority(busy.pid!, NICENESS);
  const end = async () => {
    busy.kill('SIGKILL');
    await once(busy, 'exit');
    return 0;
  };
  return { end };
}

async function begin({ connect }: RunningProxy, { code, at }: Hostile): Promise<Attack> {
  const clients = await Promise.all(Array.from({ length: ATTACKERS }, connect));
  const library = ['TFUNCTION', 'LOAD', 'REPLACE', `#!js api_version=1.0 name=hostile\n${code}`];
  if (at === 'call') await clients[0]!.call(...library);
  const words = at === 'call' ? ['TFCALLASYNC', 'hostile.f', 0] : library;
  const from = performance.now();
  let calls = 0;
  let over = false;
  const attack = async (client: RawClient) => {
    for (; !over; calls++) await client.call(...words);
  };
  const attacks = clients.map(attack);
  const end = async () => {
    over = true;
    const perSecond = (calls * 1000) / (performance.now() - from);
    await Promise.all(attacks);
    for (const client of clients) client.destroy();
    return perSecond;
  };
  return { end };
}
