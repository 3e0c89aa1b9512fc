// Blocking commands as they are written: where the timeout stands, the same call with other keys or less time,
// and what puts back what a call has popped. COLD.
//
//     BLPOP k1 k2 timeout        BLMOVE from to where where timeout        BLMPOP timeout n k1 .. LEFT [COUNT c]
//     XREAD [COUNT c] BLOCK milliseconds STREAMS k1 k2 id1 id2             seconds, but for XREAD and WAIT
//
// Nothing is checked here that a server checks: a timeout that makes no sense goes to the server, which says so.

import type { Arguments } from './arguments.ts';
import { type Command, HAND } from './command.ts';
import { findKeys, Keys, xreadOptions } from './keys.ts';

/** A call's timeout. */
export interface Timeout {
  /** The argument; 0: it has none that is known here. */
  readonly at: number;
  /** Units in a second: 1 or 1000. */
  readonly scale: 1 | 1000;
  /** In milliseconds; Infinity: for ever, or no number. */
  readonly milliseconds: number;
  /** Whether a server takes it. */
  readonly valid: boolean;
}

/** A timeout above this may be out of a server's range, seconds. */
const SURELY_VALID = 1e9;

const LAST: ReadonlySet<string> = new Set(['blpop', 'brpop', 'bzpopmin', 'bzpopmax', 'blmove', 'brpoplpush']);
const FIRST: ReadonlySet<string> = new Set(['blmpop', 'bzmpop']);

/** WAIT and WAITAOF, which wait for replicas and have no keys. */
export function isWait(command: Command): boolean {
  return command.name === 'wait' || command.name === 'waitaof';
}

export function timeoutOf(command: Command, args: Arguments): Timeout {
  const at = positionOf(command, args);
  const scale = command.hand === HAND.xread || isWait(command) ? 1000 : 1;
  const text = at === 0 ? '' : word(args, at).toString('latin1');
  const given = Number(text);
  return {
    at,
    scale,
    milliseconds: given > 0 ? (given * 1000) / scale : Number.POSITIVE_INFINITY,
    valid: (scale === 1 ? /^\d+(\.\d+)?$/ : /^\d+$/).test(text) && given < SURELY_VALID,
  };
}

function positionOf(command: Command, args: Arguments): number {
  if (LAST.has(command.name) || isWait(command)) return args.argc - 1;
  if (FIRST.has(command.name)) return 1;
  if (command.hand !== HAND.xread) return 0;
  const { block } = xreadOptions(args);
  return block > 0 && block + 1 < args.argc ? block + 1 : 0;
}

/** The call's words with `left` milliseconds to wait. */
export function withTimeLeft(words: readonly Buffer[], { at, scale }: Timeout, left: number): Buffer[] {
  // Not 0, which would be for ever.
  const whole = Math.max(1, Math.ceil(left));
  const text = scale === 1000 ? String(whole) : (whole / 1000).toFixed(3);
  return words.map((each, i) => (i === at ? Buffer.from(text) : each));
}

/** A call's words. */
export function wordsOf(args: Arguments): Buffer[] {
  return Array.from({ length: args.argc }, (_, i) => word(args, i));
}

function word({ bytes, starts, ends }: Arguments, i: number): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset + starts[i]!, ends[i]! - starts[i]!);
}

// ---- calls with keys in several slots

/** Pops whose keys may lie in several slots; XREAD is apart, since what it reads stays where it is. */
const POPS: ReadonlySet<string> = new Set(['blpop', 'brpop', 'bzpopmin', 'bzpopmax', 'blmpop', 'bzmpop']);

/** Where a call's keys stand, in their order; empty where it makes no sense. */
export function keysOf(command: Command, args: Arguments): number[] {
  const found = new Keys();
  return findKeys(command, args, found) > 0 ? [...found.at.subarray(0, found.count)] : [];
}

/** The words of a call with some of its keys alone. `all`: where the keys stand, `some`: those to keep. */
export function withKeys(
  command: Command,
  words: readonly Buffer[],
  all: readonly number[],
  some: readonly number[],
): Buffer[] {
  const first = all[0]!;
  const head = words.slice(0, first);
  const rest = words.slice(first + all.length);
  const keys = some.map((at) => words[at]!);
  if (FIRST.has(command.name)) {
    // With nothing behind the keys the server misses LEFT or MIN, and of fewer keys it would say something else.
    const names = rest.length > 0 ? keys : all.map(() => keys[0]!);
    return [...head.slice(0, -1), Buffer.from(String(names.length)), ...names, ...rest];
  }
  // Each stream has its id as far behind it as there are streams.
  if (command.hand === HAND.xread) return [...head, ...keys, ...some.map((at) => words[at + all.length]!)];
  return [...head, ...keys, ...rest];
}

// ---- what a call has popped

/** A command of the proxy's own: its name, a key, and the rest. */
export type Words = readonly [string, Buffer, ...(string | Buffer)[]];

/** True for the null that a call is answered with whose time is over. */
export function isNil(reply: Buffer): boolean {
  return reply.length <= 5 && /^(\*-1|\$-1|_)\r\n$/.test(reply.toString('latin1'));
}

/**
 * The command that puts back where it was what a pop was answered with; undefined where nothing was popped, or
 * what was popped has been put elsewhere by the server itself (BLMOVE), or is only read.
 */
export function undoOf(command: Command, words: readonly Buffer[], reply: Buffer): Words | undefined {
  if (!POPS.has(command.name) || reply[0] !== ASTERISK || isNil(reply)) return undefined;
  const [key, ...values] = leaves(reply);
  if (key === undefined || values.length === 0) return undefined;
  if (command.name.startsWith('bz')) {
    const pairs: Buffer[] = [];
    for (let i = 0; i + 1 < values.length; i += 2) pairs.push(values[i + 1]!, values[i]!);
    // Whoever has added the member anew meanwhile knows its score better.
    return ['ZADD', key, 'NX', ...pairs];
  }
  const left =
    command.name === 'blpop' ||
    (command.name === 'blmpop' && words.some((each, i) => i > 2 && isLeft(each, i, words)));
  return [left ? 'LPUSH' : 'RPUSH', key, ...values.reverse()];
}

/** BLMPOP's direction stands behind its keys. */
function isLeft(each: Buffer, i: number, words: readonly Buffer[]): boolean {
  return i === 3 + Number(words[2]) && each.toString('latin1').toLowerCase() === 'left';
}

/** Everything in a reply that is no aggregate, in its order, as bytes. */
export function leaves(reply: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < reply.length; ) {
    const end = reply.indexOf('\r\n', at);
    const type = reply[at]!;
    const line = reply.subarray(at + 1, end);
    at = end + 2;
    if (type === DOLLAR) {
      const length = Number(line.toString('latin1'));
      if (length < 0) continue;
      found.push(reply.subarray(at, at + length));
      at += length + 2;
    } else if (type !== ASTERISK && type !== PERCENT) found.push(line);
  }
  return found;
}

const ASTERISK = 42;
const DOLLAR = 36;
const PERCENT = 37;
