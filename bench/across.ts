// What a command costs whose keys lie in several slots, beside the same command within one, through the same proxy.
// Started by hand: node bench/across.ts [--seconds 2] [--rounds 5] [--only SUNIONSTORE]
//
//   one       SUNIONSTORE {t}d {t}a {t}b {t}c      as the server does it
//   several   SUNIONSTORE d a b c                  four slots, three primaries
//
// One call at a time, the two in turns, medians of the rounds; what the proxy and what the nodes spend by the kernel's
// books (account.ts). Sets are of members as `member:12345`, none in two of them.

import { parseArgs } from 'node:util';
import type { RawClient } from '../test/support/client.ts';
import { startCluster } from '../test/support/cluster.ts';
import { startProxy } from '../test/support/proxy.ts';
import { cpuSeconds } from './account.ts';
import { Histogram } from './histogram.ts';
import { median } from './report.ts';

type Words = (string | number)[];

interface Load {
  readonly name: string;
  /** Commands before the first call; `key` makes a key's name, all in one slot or not. */
  prepare(key: (name: string) => string): Words[];
  /** One after the other, again and again: they leave things as they were. */
  calls(key: (name: string) => string): Words[];
}

interface Round {
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Microseconds of CPU per call. */
  readonly proxy: number;
  readonly nodes: number;
}

const FIELDS = ['p50', 'p99', 'proxy', 'nodes'] as const;
const CHUNK = 1000;

const union = (size: number): Load => ({
  name: `SUNIONSTORE 3 x ${size}`,
  prepare: (key) =>
    ['a', 'b', 'c'].flatMap((name, set) =>
      Array.from({ length: Math.ceil(size / CHUNK) }, (_, chunk) => [
        'SADD',
        key(name),
        ...Array.from(
          { length: Math.min(CHUNK, size) },
          (_, i) => `member:${set * size + chunk * CHUNK + i}`,
        ),
      ]),
    ),
  calls: (key) => [['SUNIONSTORE', ...['d', 'a', 'b', 'c'].map(key)]],
});

const LOADS: readonly Load[] = [
  union(10),
  union(1000),
  union(100_000),
  {
    name: 'SINTER 2 x 1000',
    prepare: (key) =>
      ['a', 'b'].map((name, set) => [
        'SADD',
        key(name),
        ...Array.from({ length: 1000 }, (_, i) => `member:${set * 500 + i}`),
      ]),
    calls: (key) => [['SINTER', key('a'), key('b')]],
  },
  {
    name: 'RENAME, back and forth',
    prepare: (key) => [['SET', key('a'), 'x'.repeat(100)]],
    calls: (key) => [
      ['RENAME', key('a'), key('b')],
      ['RENAME', key('b'), key('a')],
    ],
  },
  {
    name: 'SMOVE, back and forth',
    prepare: (key) => [
      ['SADD', key('a'), 'm', 'n'],
      ['SADD', key('b'), 'o'],
    ],
    calls: (key) => [
      ['SMOVE', key('a'), key('b'), 'm'],
      ['SMOVE', key('b'), key('a'), 'm'],
    ],
  },
  {
    name: 'LMOVE, back and forth',
    prepare: (key) => [
      ['RPUSH', key('a'), 'm', 'n'],
      ['RPUSH', key('b'), 'o'],
    ],
    calls: (key) => [
      ['LMOVE', key('a'), key('b'), 'LEFT', 'RIGHT'],
      ['LMOVE', key('b'), key('a'), 'RIGHT', 'LEFT'],
    ],
  },
];

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
  },
});

const cluster = await startCluster({ primaries: 3, replicas: 0 });
const proxy = await startProxy({ cluster });
const client = await proxy.connect();
try {
  console.log('                         slots     p50 ms   p99 ms   proxy µs   nodes µs   (CPU per call)');
  for (const load of LOADS.filter(({ name }) => name.startsWith(values.only))) await compare(client, load);
} finally {
  client.destroy();
  await proxy.stop();
  await cluster.stop();
}

async function compare(client: RawClient, load: Load): Promise<void> {
  const keys = [(name: string) => `{t}${name}`, (name: string) => name];
  await client.ask('FLUSHALL');
  for (const key of keys) await client.pipeline(load.prepare(key));
  const rounds = keys.map((): Round[] => []);
  for (let i = 0; i < Number(values.rounds); i++)
    for (const [k, key] of keys.entries()) rounds[k]!.push(await round(client, load.calls(key)));
  const [one, several] = rounds.map((all) => FIELDS.map((field) => median(all.map((each) => each[field]))));
  say(load.name, 'one', one!);
  say('', 'several', several!);
  say(
    '',
    'ratio',
    several!.map((figure, i) => figure / one![i]!),
  );
}

function say(name: string, slots: string, [p50, p99, proxyCpu, nodesCpu]: readonly number[]): void {
  const digits = slots === 'ratio' ? [2, 2, 2, 2] : [3, 3, 1, 1];
  const figures = [p50!, p99!, proxyCpu!, nodesCpu!].map((figure, i) =>
    figure.toFixed(digits[i]!).padStart([9, 9, 11, 11][i]!),
  );
  console.log(`${name.padEnd(25)}${slots.padEnd(8)}${figures.join('')}`);
}

async function round(client: RawClient, calls: readonly Words[]): Promise<Round> {
  const pids = cluster.nodes.map(({ pid }) => pid);
  const spent = () => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const latency = new Histogram();
  const before = { proxy: cpuSeconds(proxy.pid), nodes: spent() };
  let count = 0;
  for (const end = performance.now() + Number(values.seconds) * 1000; performance.now() < end; ) {
    for (const words of calls) {
      const from = performance.now();
      const reply = await client.ask(...(words as [string]));
      if (reply instanceof Error) throw reply;
      latency.add(performance.now() - from, 1);
      count++;
    }
  }
  const perCall = (cpu: number) => (cpu * 1e6) / count;
  return {
    p50: latency.quantile(0.5),
    p99: latency.quantile(0.99),
    proxy: perCall(cpuSeconds(proxy.pid) - before.proxy),
    nodes: perCall(spent() - before.nodes),
  };
}
