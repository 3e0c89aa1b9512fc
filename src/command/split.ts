// Cuts a call of the basic six (MGET MSET DEL EXISTS TOUCH UNLINK) into one call per slot. HOT.
//
//     MGET a{1} b{2} c{1}   ->   part 0: MGET a{1} c{1}     part 1: MGET b{2}
//                                part of each key: 0 1 0, which puts the replies back in order
//
// Within a part the keys stand in the order asked, doubles and all: of two values for one key MSET writes
// the last, and DEL counts a key once. Parts are numbered by their first key.
//
// Two passes over the keys: the first finds each one's part and adds up the parts' sizes, the second copies.
// Arguments are copied with their `$<length>\r\n` and `\r\n`, as they stand in canonical bytes, into one
// buffer for all parts. Linear in the keys; that buffer and the map from slot to part serve again for the next
// command. What a plan keeps are plain arrays: typed ones of more than 64 bytes take five times as long to make.

import { digits, writeLength } from '../resp/canonical.ts';
import { type Area, areaOf, copyBytes } from '../resp/copy.ts';
import type { Arguments } from './arguments.ts';
import { type Command, ROUTE } from './command.ts';
import { SLOTS, slotOf } from './slot.ts';

export interface Plan {
  /** All parts as RESP, one behind the other. Valid until the next split. */
  readonly bytes: Buffer;
  /** Parts. */
  readonly count: number;
  /** Of part p: its slot, and its bytes from[p]..to[p]. */
  readonly slot: readonly number[];
  readonly from: readonly number[];
  readonly to: readonly number[];
  /** Of the k-th key asked: its part. */
  readonly part: readonly number[];
  /** Keys. */
  readonly keys: number;
}

/**
 * @param command with ROUTE.split
 * @returns undefined where the keys don't come out even (MSET a 1 b): the number of arguments is wrong
 */
export function split(command: Command, args: Arguments): Plan | undefined {
  const { starts, ends, argc } = args;
  const bytes = args.bytes as Buffer;
  const first = command.keyFirst;
  const step = command.keyStep;
  const keys = (argc - first) / step;
  if (keys < 1 || !Number.isInteger(keys)) return undefined;

  const part = new Array<number>(keys);
  const slot: number[] = [];
  const from: number[] = [];
  const to: number[] = [];
  let count = 0;
  for (let k = 0, i = first; k < keys; k++, i += step) {
    const keySlot = slotOf(bytes, starts[i]!, ends[i]!);
    const length = ends[i + step - 1]! + 2 - elementStart(starts[i]!, ends[i]!);
    // Until the offsets are known, `from` counts the part's keys and `to` the bytes of its arguments.
    let p = partOfSlot[keySlot]! - 1;
    if (p >= 0) {
      from[p]!++;
      to[p]! += length;
    } else {
      p = count++;
      partOfSlot[keySlot] = count;
      slot.push(keySlot);
      from.push(1);
      to.push(length);
    }
    part[k] = p;
  }

  const nameStart = elementStart(starts[0]!, ends[0]!);
  const nameLength = ends[0]! + 2 - nameStart;
  let size = 0;
  for (let p = 0; p < count; p++) {
    partOfSlot[slot[p]!] = 0;
    size += 3 + digits(from[p]! * step + 1) + nameLength + to[p]!;
  }

  const area = size <= SCRATCH_BYTES ? scratch : areaOf(Buffer.allocUnsafe(size));
  const out = area.bytes;
  let at = 0;
  for (let p = 0; p < count; p++) {
    const length = to[p]!;
    const head = writeLength(out, at, ASTERISK, from[p]! * step + 1);
    copyBytes(bytes, nameStart, nameStart + nameLength, area, head);
    from[p] = at;
    // Where the next argument of the part goes; at the end it has become the part's end.
    to[p] = head + nameLength;
    at = head + nameLength + length;
  }
  for (let k = 0, i = first; k < keys; k++, i += step) {
    const p = part[k]!;
    const start = elementStart(starts[i]!, ends[i]!);
    const end = ends[i + step - 1]! + 2;
    copyBytes(bytes, start, end, area, to[p]!);
    to[p]! += end - start;
  }
  return { bytes: out, count, slot, from, to, part, keys };
}

/** Whether a command with ROUTE.split can be cut key by key: MSET's keys change together. */
export function singlyKeyed({ route, keyStep }: Command): boolean {
  return route === ROUTE.split && keyStep === 1;
}

/**
 * Cuts a call into one for each key, doubles and all: for when a slot's keys are at two nodes. Cold.
 * @param command that is `singlyKeyed`
 * @param bytes of the whole call, canonical, at [start, end)
 * @param slot of all its keys
 */
export function splitByKey(bytes: Buffer, start: number, end: number, slot: number): Plan {
  const name = bytes.indexOf(LF, start) + 1;
  const first = elementEnd(bytes, name);
  const head = Buffer.concat([Buffer.from('*2\r\n'), bytes.subarray(name, first)]);
  const from: number[] = [];
  const to: number[] = [];
  const pieces: Buffer[] = [];
  for (let at = first, out = 0; at < end; ) {
    const next = elementEnd(bytes, at);
    from.push(out);
    out += head.length + next - at;
    to.push(out);
    pieces.push(head, bytes.subarray(at, next));
    at = next;
  }
  const keys = from.length;
  const part = from.map((_, k) => k);
  return { bytes: Buffer.concat(pieces), count: keys, slot: part.map(() => slot), from, to, part, keys };
}

const ASTERISK = 42;
const LF = 10;
const SCRATCH_BYTES = 16384;
const scratch: Area = areaOf(Buffer.allocUnsafeSlow(SCRATCH_BYTES));

/** Part + 1 by slot; all zero between calls. */
const partOfSlot = new Int32Array(SLOTS);

/** Behind the argument whose header `$<length>\r\n` is at `at`. */
function elementEnd(bytes: Buffer, at: number): number {
  const head = bytes.indexOf(LF, at) + 1;
  return head + Number(bytes.toString('latin1', at + 1, head - 2)) + 2;
}

/** Where the header `$<length>\r\n` of an argument begins. */
function elementStart(start: number, end: number): number {
  return start - 3 - digits(end - start);
}
