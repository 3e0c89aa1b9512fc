// What a client has queued since MULTI. Checked as the server checks it when it queues, run at EXEC.
//
//   MULTI, SET {a}1 x, PING, INCR {a}2, EXEC
//
//   bytes     | MULTI | SET {a}1 x | PING | INCR {a}2 |        at EXEC: | EXEC |, and all of it is one run on a link
//   entries             slot 15495   whole  slot 15495
//
// Nothing is sent before EXEC: a transaction that is discarded, or whose client goes, has cost nothing. The bytes
// stand as they will be sent, so that the common case, all keys in one slot, copies each command once.

import type { Arguments } from '../command/arguments.ts';
import { type Command, ROUTE, SCRIPT } from '../command/command.ts';
import { CROSS, findKeys, INVALID, Keys, NONE, slotOfAll } from '../command/keys.ts';
import { type Area, areaOf, copyBytes } from '../resp/copy.ts';
import type { Frame } from '../resp/request.ts';
import { command as encode } from '../resp/write.ts';
import { onlyReads } from './request.ts';

/** In place of a slot: it goes wherever the others go. */
export const ANYWHERE = -1;
/** Keys in several slots, by which it can be cut; or by which it can't. */
export const CUT = -2;
export const CROSSES = -3;
/** Answered by the proxy itself, which has no part in what is atomic. */
export const LOCAL = -4;
/** Asked of all shards or nodes. */
export const EVERYWHERE = -5;
/** Only the server could tell where its keys are: not to be queued. */
export const UNKNOWN = -6;

/** Executed at once also between MULTI and EXEC. */
export const AT_ONCE: ReadonlySet<string> = new Set(['multi', 'exec', 'discard', 'watch', 'quit', 'reset']);

/** One queued command: its bytes and where it goes, a slot or one of the codes above. */
export interface Entry {
  readonly command: Command;
  readonly where: number;
  readonly from: number;
  readonly to: number;
}

export const MULTI = encode(['MULTI']);
export const EXEC = encode(['EXEC']);
const FIRST_BYTES = 1024;
const POOLED = 256;
const NOTHING = areaOf(Buffer.alloc(0));
const pool: Area[] = [];

export class Transaction {
  /** A command was refused: EXEC will do nothing. */
  spoiled = false;
  readonly entries: Entry[] = [];
  /** The slot that the first key has bound it to; ANYWHERE as long as there is none. */
  slot = ANYWHERE;
  /** All of it is one run of one slot. */
  simple = true;
  /** It has more than one key, so that a node may tell it to try again. */
  loose = false;
  /** It calls scripts or functions. */
  scripts = false;
  /** Nothing in it may write. */
  reads = true;

  private area: Area = pool.pop() ?? areaOf(Buffer.allocUnsafeSlow(FIRST_BYTES));
  private used = 0;
  /** Where the first key lies. */
  private keyFrom = 0;
  private keyTo = 0;

  constructor() {
    this.append(MULTI, 0, MULTI.length);
  }

  /** The bytes of all entries, which point into them. */
  get bytes(): Buffer {
    return this.area.bytes;
  }

  /** How many bytes are kept. */
  get length(): number {
    return this.used;
  }

  /** Queues a command whose place is known: `placeOf`. */
  add(command: Command, f: Frame, where: number): void {
    const from = this.used;
    this.append(f.bytes as Buffer, f.from, f.to);
    this.entries.push({ command, where, from, to: this.used });
    if (!onlyReads(command)) this.reads = false;
    if (command.script !== SCRIPT.none) this.scripts = true;
    if (where >= 0) {
      if (this.slot === ANYWHERE) this.slot = where;
      else if (this.slot !== where) this.simple = false;
      this.noteKeys(f, from - f.from);
    } else if (where !== ANYWHERE) this.simple = false;
  }

  /** A command was refused. What has been queued is of no use any more. */
  spoil(): void {
    if (!this.spoiled) this.forget();
    this.spoiled = true;
  }

  /** Its bytes will not be read any more. */
  forget(): void {
    if (this.area.bytes.length === FIRST_BYTES && pool.length < POOLED) pool.push(this.area);
    this.area = NOTHING;
    this.used = 0;
    this.entries.length = 0;
  }

  /** Makes it one run, MULTI and EXEC included: `bytes[0..length)`. */
  close(): void {
    this.append(EXEC, 0, EXEC.length);
  }

  /** `shift`: from where the keys of a call are found to where they lie here. */
  private noteKeys({ starts, ends }: Frame, shift: number): void {
    for (let i = 0; i < keys.count && !this.loose; i++) {
      const from = starts[keys.at[i]!]! + shift;
      const to = ends[keys.at[i]!]! + shift;
      if (this.keyTo === 0) {
        this.keyFrom = from;
        this.keyTo = to;
      } else if (!this.isFirstKey(from, to)) this.loose = true;
    }
  }

  private isFirstKey(from: number, to: number): boolean {
    const { bytes, keyFrom, keyTo } = this;
    if (to - from !== keyTo - keyFrom) return false;
    for (let i = from, j = keyFrom; i < to; i++, j++) if (bytes[i] !== bytes[j]) return false;
    return true;
  }

  private append(bytes: Buffer, from: number, to: number): void {
    const need = this.used + to - from;
    if (need > this.area.bytes.length) {
      const larger = areaOf(Buffer.allocUnsafeSlow(need * 2));
      this.area.bytes.copy(larger.bytes, 0, 0, this.used);
      this.area = larger;
    }
    copyBytes(bytes, from, to, this.area, this.used);
    this.used = need;
  }
}

/** Of the call that `placeOf` was last asked about. */
const keys = new Keys();
/** Answered at the door outside of a transaction; inside of one a node does it as well. */
const CARRIED = new Set(['ping', 'echo', 'time', 'unwatch']);

/** Where a command of a transaction goes: a slot, or one of the codes above. */
export function placeOf(command: Command, args: Arguments): number {
  keys.count = 0;
  switch (command.route) {
    case ROUTE.allShards:
    case ROUTE.allNodes:
    case ROUTE.scan:
    case ROUTE.special:
      return EVERYWHERE;
    case ROUTE.door:
      return CARRIED.has(command.name) ? ANYWHERE : LOCAL;
  }
  const count = findKeys(command, args, keys);
  if (count === NONE || count === INVALID || count === 0) return ANYWHERE;
  if (count < 0) return UNKNOWN;
  const slot = slotOfAll(args, keys);
  if (slot !== CROSS) return slot;
  return command.route === ROUTE.split ? CUT : CROSSES;
}
