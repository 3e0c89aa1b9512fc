// A command that became several: its parts, and the one reply that is made of theirs. Hot.
//
//   MGET a b c -> Part 0: MGET a    *1 $1 x --.
//                 Part 1: MGET b    *1 $1 y --+--> *3 $1 x $1 y $1 z     each part has its number; when none
//                 Part 2: MGET c    *1 $1 z --'                          is missing the reply is made, once
//
// Parts' replies are held in the arena of early replies. Where each part stands for one element of the reply
// (MGET with its keys in as many slots) they are written one behind the other, and nothing is merged at all.

import type { Pieces } from '../cluster/apart.ts';
import type { Choice } from '../cluster/attempt.ts';
import { Call } from '../cluster/call.ts';
import { adoptSlab, type Slab } from '../cluster/slab.ts';
import type { Command } from '../command/command.ts';
import { type Area, areaOf } from '../resp/copy.ts';
import { keyByKey } from './bykey.ts';
import { holdBytes, type Piece } from './replies.ts';
import { copy, type Downstream, onlyReads, Spoken } from './request.ts';

/** Makes one reply of all parts' replies, in the order of the parts. */
export type Merge = (replies: Buffer[]) => Buffer;

export interface GatheredOptions {
  /** The parts together touch every slot. */
  readonly wide: boolean;
  /** Each part's reply is an array of one element, and the whole is those elements in the order of the parts. */
  readonly joined: boolean;
  readonly merge: Merge;
}

const ONE_ELEMENT = Buffer.from('*1\r\n');

export class Gathered extends Spoken {
  readonly parts: Part[] = [];

  readonly command: Command;
  private readonly client: Downstream;
  private readonly options: GatheredOptions;
  private readonly since: number;
  private missing = 0;
  private bytes = 0;

  constructor(client: Downstream, command: Command, options: GatheredOptions) {
    super();
    this.client = client;
    this.command = command;
    this.options = options;
    this.since = client.cluster.turn.micros;
    if (options.wide) client.touchesAll(1, onlyReads(command));
  }

  get wide(): boolean {
    return this.options.wide;
  }

  /** Adds a part. All are added before the first is sent: an answer may come while the rest is being sent. */
  add(slot: number, loose: boolean, choice?: Choice): void {
    this.parts.push(new Part(this.client, this, slot, loose, choice));
    this.missing++;
  }

  /** A part has this many bytes more. */
  gathering(bytes: number): void {
    this.bytes += bytes;
    this.client.gathering(bytes);
  }

  /** A part has its reply. */
  collect(): void {
    if (--this.missing > 0) return;
    if (this.wide) this.client.touchesAll(-1, onlyReads(this.command));
    if (!this.client.closed) {
      this.client.gathering(-this.bytes);
      this.say();
    }
    for (const part of this.parts) part.slab?.release();
  }

  private say(): void {
    const { client, command, parts, since } = this;
    if (this.options.joined && client.replies.front === this && parts.every(isOneElement)) return this.join();
    const merged = this.options.merge(parts.map(({ slab, from, to }) => slab!.bytes.subarray(from, to)));
    client.answer(this, command, since, merged, 0, merged.length);
  }

  private join(): void {
    const { client, command, parts, since } = this;
    const head = arrayHead(parts.length);
    for (const part of parts) part.from += ONE_ELEMENT.length;
    client.answerJoined(command, since, head, parts as readonly Part[] as readonly Piece[]);
  }
}

export class Part extends Call {
  declare readonly caller: Downstream;
  /** Its reply: bytes `[from, to)` of a slab. */
  slab: Slab | undefined = undefined;
  from = 0;
  to = 0;

  private readonly whole: Gathered;
  private pieces: Buffer[] | undefined = undefined;

  constructor(client: Downstream, whole: Gathered, slot: number, loose: boolean, choice?: Choice) {
    super(client, slot, onlyReads(whole.command), loose, choice);
    this.whole = whole;
  }

  protected override cut(bytes: Buffer, from: number, to: number): Pieces | undefined {
    return keyByKey(this.whole.command, this.slot, [bytes, from, to], (more) => {
      if (!this.caller.closed) this.whole.gathering(more);
    });
  }

  protected override answer(bytes: Buffer, from: number, to: number): void {
    this.take(holdBytes(bytes, from, to), to - from);
  }

  protected override answerPiece(bytes: Buffer, from: number, to: number, last: boolean): void {
    if (this.caller.closed) return;
    this.pieces ??= [];
    this.pieces.push(copy(bytes, from, to));
    this.whole.gathering(to - from);
    if (!last) return;
    const all = Buffer.concat(this.pieces);
    this.pieces = undefined;
    const slab = adoptSlab(all, all.length);
    slab.refs = 1;
    this.take(slab, all.length);
  }

  protected override answerBroken(reason: string): void {
    const error = Buffer.from(`-ERR slotless: a reply broke off: ${reason}\r\n`);
    this.take(holdBytes(error, 0, error.length), error.length);
  }

  private take(slab: Slab, length: number): void {
    this.slab = slab;
    this.to = slab.used;
    this.from = slab.used - length;
    this.whole.collect();
  }
}

function isOneElement({ slab, from }: Part): boolean {
  const { bytes } = slab!;
  for (let i = 0; i < ONE_ELEMENT.length; i++) if (bytes[from + i] !== ONE_ELEMENT[i]) return false;
  return true;
}

const HEADS: Area[] = [];

function arrayHead(count: number): Area {
  if (count < 1024 && HEADS[count] !== undefined) return HEADS[count];
  const head = areaOf(Buffer.from(`*${count}\r\n`));
  if (count < 1024) HEADS[count] = head;
  return head;
}
