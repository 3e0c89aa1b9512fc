// What it costs to know where a command goes: finding it by name, the slot of its key, and the plan of a
// split. Nanoseconds per call, the best of several rounds, each trick beside what it stands in for.
//
// Run with `node bench/routing.ts`.

import clusterKeySlot from 'cluster-key-slot';
import type { Arguments } from '../src/command/arguments.ts';
import { ROUTE } from '../src/command/command.ts';
import { slotOfKeys } from '../src/command/keys.ts';
import { mergeSplit } from '../src/command/merge.ts';
import { slotOf } from '../src/command/slot.ts';
import { split } from '../src/command/split.ts';
import { CommandTable } from '../src/command/table.ts';

const begin = ['type', 'index', 'spec', ['index', 1]];
const find = (last: number) => ['type', 'range', 'spec', ['lastkey', last, 'keystep', 1, 'limit', 0]];
const range = (last: number) => [['flags', [], 'begin_search', begin, 'find_keys', find(last)]];
const multi = ['request_policy:multi_shard'];
const others = Array.from({ length: 240 }, (_, i) => [`command${i}`, -2, [], 1, 1, 1, [], [], range(0), []]);
const table = CommandTable.parse([
  ['get', 2, ['readonly', 'fast'], 1, 1, 1, [], [], range(0), []],
  ['set', -3, ['write', 'denyoom'], 1, 1, 1, [], [], range(0), []],
  ['mget', -2, ['readonly', 'fast'], 1, -1, 1, [], multi, range(-1), []],
  ...others,
]);

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

function framed(words: readonly string[]): Arguments {
  const starts: number[] = [];
  const ends: number[] = [];
  let text = `*${words.length}\r\n`;
  for (const word of words) {
    text += `$${word.length}\r\n`;
    starts.push(text.length);
    text += word;
    ends.push(text.length);
    text += '\r\n';
  }
  const bytes = Buffer.from(text);
  return { bytes, starts: Int32Array.from(starts), ends: Int32Array.from(ends), argc: words.length };
}

let sink = 0;

function bench(name: string, iterations: number, run: () => number): void {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 7; round++) {
    const begun = process.hrtime.bigint();
    for (let i = 0; i < iterations; i++) sink ^= run();
    best = Math.min(best, Number(process.hrtime.bigint() - begun) / iterations);
  }
  console.log(`${name.padEnd(44)} ${best.toFixed(1).padStart(12)} ns`);
}

const get = framed(['GET', 'user:1234567890:name']);
const set = framed(['set', '{user:1234567890}:name', 'some value']);
const mget = framed(['MGET', ...numbers(10).map((i) => `key:${i}00${i}`)]);
const million = framed(['MGET', ...numbers(1_000_000).map((i) => `key:${i}`)]);
const bytes = get.bytes as Buffer;
const key = bytes.subarray(get.starts[1], get.ends[1]);
const mgetCommand = table.find(mget)!;
const plan = split(mgetCommand, mget)!;
const replies = Array.from({ length: plan.count }, (_, p) => {
  const keys = plan.part.filter((part) => part === p).length;
  return Buffer.from(`*${keys}\r\n${'$32\r\n01234567890123456789012345678901\r\n'.repeat(keys)}`);
});

bench('find GET', 1e6, () => table.find(get)!.id);
bench('slot, key of 20 bytes', 1e6, () => slotOf(get.bytes, get.starts[1]!, get.ends[1]!));
bench('  cluster-key-slot, the view at hand', 1e6, () => clusterKeySlot(key));
bench('  cluster-key-slot, with its view', 1e6, () =>
  clusterKeySlot(bytes.subarray(get.starts[1], get.ends[1])),
);
bench('slot, key with a hash tag', 1e6, () => slotOf(set.bytes, set.starts[1]!, set.ends[1]!));
bench('find and slot, GET', 1e6, () => slotOfKeys(table.find(get)!, get));
bench('find and slot, SET with a hash tag', 1e6, () => slotOfKeys(table.find(set)!, set));
bench(`split, MGET of 10 keys in ${plan.count} slots`, 2e5, () => split(mgetCommand, mget)!.count);
bench(
  `merge, MGET of 10 keys in ${plan.count} slots`,
  2e5,
  () => mergeSplit(plan, mgetCommand, replies).length,
);
bench('split, MGET of a million keys', 3, () => split(mgetCommand, million)!.count);
if (mgetCommand.route !== ROUTE.split || sink === 0.5) console.log('unreachable, but the loops have a use');
