// Makes one reply of the replies of several parts or nodes. HOT where it puts MGET back in order.
//
// Replies come and go as raw bytes, RESP2 or RESP3: elements are measured and copied, never decoded. All
// replies are whole, and in the order of the parts or names they are given with.
//
// A failed part is never left out of a sum or a list: the reply is then an error that names the part and has
// the server's words. Two exceptions keep what one server would say: where all parts fail in the same words,
// these are the reply; and a policy of one_succeeded is content with one.

import { writeLength } from '../resp/canonical.ts';
import { areaOf, copyBytes } from '../resp/copy.ts';
import { partFailed } from '../resp/errors.ts';
import { skip } from '../resp/reply.ts';
import { OK } from '../resp/write.ts';
import { aggregate } from './aggregate.ts';
import { type Command, RESPONSE } from './command.ts';
import { headOf, NOT_AN_ARRAY } from './head.ts';
import type { Plan } from './split.ts';

/**
 * One reply of the parts' replies.
 * @param command with ROUTE.split
 * @param replies of part 0, 1, ... of the plan
 */
export function mergeSplit(plan: Plan, command: Command, replies: readonly Buffer[]): Buffer {
  if (anyError(replies)) return failure(replies, (part) => `slot ${plan.slot[part]}`);
  if (command.response === RESPONSE.allSucceeded) return OK;
  if (command.response !== RESPONSE.none) {
    return aggregate(command.response, replies) ?? mismatch(`slot ${plan.slot[0]}`);
  }
  return inOrder(plan, replies) ?? mismatch(`slot ${plan.slot[0]}`);
}

/**
 * One reply of the nodes' replies, by the command's response policy.
 * @param command with ROUTE.allShards or ROUTE.allNodes
 * @param names of the nodes, for errors: one for each reply
 */
export function mergeFanOut(command: Command, replies: readonly Buffer[], names: readonly string[]): Buffer {
  const nameOf = (i: number): string => `node ${names[i]}`;
  if (command.response === RESPONSE.oneSucceeded) return oneSucceeded(replies);
  if (anyError(replies)) return failure(replies, nameOf);
  const first = replies[0]!;
  if (command.response === RESPONSE.allSucceeded || replies.length === 1) return first;
  if (command.response === RESPONSE.none) return concatenate(replies) ?? mismatch(nameOf(0));
  return aggregate(command.response, replies) ?? mismatch(nameOf(0));
}

/**
 * The first reply that is no error; else the error that tells most: UNKILLABLE, then any other, then the
 * NOTBUSY of the shards on which nothing ran.
 */
export function oneSucceeded(replies: readonly Buffer[]): Buffer {
  const rank = (reply: Buffer): number => {
    if (!isError(reply)) return 0;
    const prefix = prefixOf(errorText(reply));
    if (prefix === 'UNKILLABLE') return 1;
    return prefix === 'NOTBUSY' ? 3 : 2;
  };
  return replies.reduce((best, reply) => (rank(reply) < rank(best) ? reply : best));
}

/** The first of replies that are alike, or an error that names the nodes. */
export function allSucceeded(replies: readonly Buffer[], names: readonly string[]): Buffer {
  return anyError(replies) ? failure(replies, (i) => `node ${names[i]}`) : replies[0]!;
}

const MINUS = 45;
const BANG = 33;
const ASTERISK = 42;

/** An error reply of either version. */
export function isError(reply: Buffer): boolean {
  return reply[0] === MINUS || reply[0] === BANG;
}

function anyError(replies: readonly Buffer[]): boolean {
  for (let i = 0; i < replies.length; i++) if (isError(replies[i]!)) return true;
  return false;
}

/** Where the next element of each part begins; for inOrder, which is done with it before it returns. */
let next = new Float64Array(64);

/** Arrays of the parts, taken apart and put in the order of the keys; undefined where they don't add up. */
function inOrder(plan: Plan, replies: readonly Buffer[]): Buffer | undefined {
  const { count, part, keys } = plan;
  if (next.length < count) next = new Float64Array(count);
  let elements = 0;
  let size = 16;
  for (let p = 0; p < count; p++) {
    const reply = replies[p]!;
    const head = headOf(reply);
    if (head.type !== ASTERISK || head.count < 0) return undefined;
    elements += head.count;
    next[p] = head.end;
    size += reply.length - head.end;
  }
  if (elements !== keys) return undefined;
  const out = Buffer.allocUnsafe(size);
  const area = areaOf(out);
  let at = writeLength(out, 0, ASTERISK, keys);
  if (count === keys) {
    // One key each, so the parts stand in the order of the keys and need no measuring.
    for (let p = 0; p < count; p++) {
      const reply = replies[p]!;
      copyBytes(reply, next[p]!, reply.length, area, at);
      at += reply.length - next[p]!;
    }
    return out.subarray(0, at);
  }
  for (let k = 0; k < keys; k++) {
    const p = part[k]!;
    const reply = replies[p]!;
    const start = next[p]!;
    const end = skip(reply, start, reply.length);
    if (end < 0) return undefined;
    copyBytes(reply, start, end, area, at);
    at += end - start;
    next[p] = end;
  }
  return out.subarray(0, at);
}

/**
 * The elements of all arrays, sets or maps in one. What is no aggregate must be the same from all.
 * @returns undefined where the replies are of several kinds, or say different things
 */
function concatenate(replies: readonly Buffer[]): Buffer | undefined {
  const first = replies[0]!;
  if (replies.every((reply) => reply.equals(first))) {
    const head = headOf(first);
    if (head.type === NOT_AN_ARRAY || head.count <= 0) return first;
  }
  const pieces: Buffer[] = [Buffer.alloc(0)];
  let type = 0;
  let count = 0;
  for (const reply of replies) {
    const head = headOf(reply);
    if (head.type === NOT_AN_ARRAY) return undefined;
    if (head.count < 0) continue;
    if (type !== 0 && type !== head.type) return undefined;
    type = head.type;
    count += head.count;
    pieces.push(reply.subarray(head.end));
  }
  pieces[0] = Buffer.from(`${String.fromCharCode(type)}${count}\r\n`, 'latin1');
  return Buffer.concat(pieces);
}

/** The error for a call of which at least one part failed. */
function failure(replies: readonly Buffer[], nameOf: (i: number) => string): Buffer {
  const failed = replies.flatMap((reply, i) => (isError(reply) ? [i] : []));
  const at = failed[0]!;
  const texts = failed.map((i) => errorText(replies[i]!));
  const prefix = prefixOf(texts[0]!);
  const agreed = texts.every((text) => prefixOf(text) === prefix) ? prefix : 'ERR';
  // A redirection in the proxy's words would send a client that knows clusters astray.
  const redirects = agreed === 'MOVED' || agreed === 'ASK';
  if (failed.length === replies.length && texts.every((text) => text === texts[0])) return replies[at]!;
  const others = failed.length > 1 ? ` and ${failed.length - 1} more of ${replies.length}` : '';
  return partFailed(`${nameOf(at)}${others}`, texts[0]!, redirects ? 'ERR' : agreed);
}

/** An error without its type byte and line break, one character per byte. */
export function errorText(reply: Buffer): string {
  const head = reply.indexOf('\r\n');
  if (reply[0] === MINUS) return reply.toString('latin1', 1, head);
  return reply.toString('latin1', head + 2, reply.length - 2);
}

/** The first word of an error where it is one by Redis's custom, else ERR. */
export function prefixOf(text: string): string {
  return /^[A-Z]+(?= |$)/.exec(text)?.[0] ?? 'ERR';
}

function mismatch(part: string): Buffer {
  return partFailed(part, 'its reply and those of the other parts cannot be merged');
}
