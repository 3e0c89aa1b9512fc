// What framing costs: ns per command for pipelines of GET and SET, and per reply.
//
//   node bench/framing.ts
//
// The least and the median of some rounds, after a warm-up in which every shape is framed, so that the functions
// measured are as general as those that run in the proxy.

import { ReplyFramer, skip } from '../src/resp/reply.ts';
import { Frame, frame, MORE, type RequestLimits } from '../src/resp/request.ts';
import { command } from '../src/resp/write.ts';

const LIMITS: RequestLimits = { arguments: 1048576, bulk: 536870912, inline: 65536 };
const ROUNDS = 15;
const ROUND_MS = 20;

interface Case {
  name: string;
  /** Frames in one run. */
  frames: number;
  run(): void;
}

const f = new Frame();
const framer = new ReplyFramer(128);
let sum = 0;

/** Frames all commands of `input`. */
function frameAll(input: Buffer): void {
  const end = input.length;
  let at = 0;
  while (at < end) {
    f.reset(at);
    const result = frame(f, input, end, LIMITS, true);
    if (result === MORE) throw new Error('a command does not end');
    sum += f.argc;
    at = f.consumed;
  }
}

/** Frames a command that comes in pieces of `step` bytes. */
function framePieces(input: Buffer, step: number): void {
  f.reset(0);
  let end = 0;
  do end = Math.min(end + step, input.length);
  while (frame(f, input, end, LIMITS, true) === MORE);
  sum += f.argc;
}

/** Measures all replies of `input`. */
function measureAll(input: Buffer): void {
  let at = 0;
  while (at < input.length) {
    at = framer.measure(input, at, input.length);
    if (at < 0) throw new Error('a reply does not end');
    sum += framer.type;
  }
}

function requests(name: string, args: (i: number) => string[], depth: number): Case {
  const input = Buffer.concat(Array.from({ length: depth }, (_, i) => command(args(i))));
  return { name: `${name} x ${depth}`, frames: depth, run: () => frameAll(input) };
}

function replies(name: string, reply: string, depth: number): Case {
  const input = Buffer.from(reply.repeat(depth));
  return { name: `${name} x ${depth}`, frames: depth, run: () => measureAll(input) };
}

const value = 'v'.repeat(32);
const get = (i: number) => ['GET', `key:${String(i).padStart(12, '0')}`];
const set = (i: number) => ['SET', `key:${String(i).padStart(12, '0')}`, value];
const many = command(Array.from({ length: 1000 }, (_, i) => `argument:${i}`));
const irregular = Buffer.from('*2\r\n$3\r\nGET\n\n$16\rxkey:000000000001\r\n');
const inline = Buffer.from('GET key:000000000001\r\n');
const list = `*100\r\n${`$32\r\n${value}\r\n`.repeat(100)}`;
const listBytes = Buffer.from(list);

const cases: Case[] = [
  ...[1, 16, 64].map((depth) => requests('GET', get, depth)),
  ...[1, 16, 64].map((depth) => requests('SET 32 bytes', set, depth)),
  { name: '1000 arguments (per argument)', frames: 1000, run: () => frameAll(many) },
  { name: '1000 arguments, byte by byte (per byte)', frames: many.length, run: () => framePieces(many, 1) },
  { name: 'irregular GET', frames: 1, run: () => frameAll(irregular) },
  { name: 'inline GET', frames: 1, run: () => frameAll(inline) },
  replies('+OK', '+OK\r\n', 16),
  replies('bulk of 32 bytes', `$32\r\n${value}\r\n`, 1),
  replies('bulk of 32 bytes', `$32\r\n${value}\r\n`, 16),
  replies('nil', '$-1\r\n', 16),
  replies('integer', ':12345\r\n', 16),
  replies('array of 100 bulks', list, 4),
  {
    name: 'array of 100 bulks, skip (per element)',
    frames: 100,
    run: () => (sum += skip(listBytes, 0, listBytes.length)),
  },
];

/** Nanoseconds per frame over about ROUND_MS. */
function time(each: Case, runs: number): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < runs; i++) each.run();
  return Number(process.hrtime.bigint() - start) / runs / each.frames;
}

for (let warm = 0; warm < 3; warm++) {
  for (const each of cases) for (let frames = 0; frames < 100_000; frames += each.frames) each.run();
}
// The cases take turns, so that a slow moment of the machine spreads over all of them.
const rounds = cases.map((): number[] => []);
for (let round = 0; round < ROUNDS; round++) {
  for (const [i, each] of cases.entries()) {
    const runs = Math.max(1, Math.round((ROUND_MS * 1e6) / each.frames / time(each, 100)));
    rounds[i]!.push(time(each, runs));
  }
}
console.log(`${''.padEnd(44)}     least    median  ns`);
for (const [i, each] of cases.entries()) {
  const sorted = rounds[i]!.sort((a, b) => a - b);
  const show = (value: number) => value.toFixed(1).padStart(10);
  console.log(each.name.padEnd(44) + show(sorted[0]!) + show(sorted[ROUNDS >> 1]!));
}
if (sum === 0) throw new Error('nothing was framed');
