// Sums, minima, maxima and logical combinations of the integers that several parts or nodes reply with; of
// arrays of integers, place by place.
//
// Exact over the whole range of 64 bits: numbers are added as doubles as long as they are whole and below
// 2^53, and once more as BigInt where they are not.

import { integerAt } from './arguments.ts';
import { RESPONSE, type Response } from './command.ts';
import { headOf } from './head.ts';

/**
 * @param response one of the agg policies
 * @param replies at least one, none of them an error
 * @returns undefined where they are not all integers, or all arrays of as many integers
 */
export function aggregate(response: Response, replies: readonly Buffer[]): Buffer | undefined {
  const next = replies.map(() => 0);
  if (replies[0]![0] === COLON) {
    const value = column(response, replies, next);
    return value === undefined ? undefined : Buffer.from(`:${value}\r\n`, 'latin1');
  }
  let count = -1;
  for (let i = 0; i < replies.length; i++) {
    const { type, count: elements, end } = headOf(replies[i]!);
    if (type !== ASTERISK || elements < 0 || (count >= 0 && elements !== count)) return undefined;
    count = elements;
    next[i] = end;
  }
  const lines = [`*${count}\r\n`];
  for (let element = 0; element < count; element++) {
    const value = column(response, replies, next);
    if (value === undefined) return undefined;
    lines.push(`:${value}\r\n`);
  }
  return Buffer.from(lines.join(''), 'latin1');
}

const COLON = 58;
const ASTERISK = 42;
const CR = 13;

/** Takes the integer at next[i] of every reply, steps past it, and gives the combination. */
function column(response: Response, replies: readonly Buffer[], next: number[]): number | bigint | undefined {
  let total = 0;
  let exact = true;
  for (let i = 0; i < replies.length; i++) {
    const reply = replies[i]!;
    const start = next[i]!;
    const end = reply[start] === COLON ? lineEnd(reply, start) : -1;
    const value = end < 0 ? undefined : integerAt(reply, start + 1, end);
    if (value === undefined) return undefined;
    total = i === 0 ? value : combine(response, total, value);
    exact &&= Number.isSafeInteger(value) && Number.isSafeInteger(total);
  }
  const result = exact ? normal(response, total) : columnExact(response, replies, next);
  for (let i = 0; i < replies.length; i++) next[i] = lineEnd(replies[i]!, next[i]!) + 2;
  return result;
}

/** Where the carriage return of the line at `start` is. */
function lineEnd(reply: Buffer, start: number): number {
  let at = start;
  while (at < reply.length && reply[at] !== CR) at++;
  return at;
}

function columnExact(response: Response, replies: readonly Buffer[], next: number[]): bigint {
  const values = replies.map((reply, i) => {
    return BigInt(reply.toString('latin1', next[i]! + 1, lineEnd(reply, next[i]!)));
  });
  if (response === RESPONSE.aggSum) return values.reduce((sum, value) => sum + value);
  const ordered = values.toSorted((a, b) => (a < b ? -1 : 1));
  if (response === RESPONSE.aggMin) return ordered.at(0)!;
  if (response === RESPONSE.aggMax) return ordered.at(-1)!;
  const all = response === RESPONSE.aggLogicalAnd;
  const truth = all ? values.every((value) => value !== 0n) : values.some((value) => value !== 0n);
  return truth ? 1n : 0n;
}

function combine(response: Response, a: number, b: number): number {
  switch (response) {
    case RESPONSE.aggSum:
      return a + b;
    case RESPONSE.aggMin:
      return Math.min(a, b);
    case RESPONSE.aggMax:
      return Math.max(a, b);
    case RESPONSE.aggLogicalAnd:
      return a !== 0 && b !== 0 ? 1 : 0;
    default:
      return a !== 0 || b !== 0 ? 1 : 0;
  }
}

/** What a single reply leaves as it is, made 0 or 1 for the logical policies. */
function normal(response: Response, value: number): number {
  const logical = response === RESPONSE.aggLogicalAnd || response === RESPONSE.aggLogicalOr;
  return logical && value !== 0 ? 1 : value;
}
