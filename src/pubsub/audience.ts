// Who hears one channel in one protocol version, and how a message reaches them all. Hot.
//
// To thousands of clients the same bytes are to be written. They are put down once: in a batch, which all of the
// audience share, and at the end of the turn each client's socket is written from there. So a second message in
// the same turn costs one copy, however many hear it. A client that has something else to be written in between
// takes what the batch holds so far, strays from it, and gets the rest of the turn's messages one by one.
//
//   batch | m1 | m2 | m3 |      attached: A (from m1), B (from m1), C (from m2)
//                     strays: D, which was answered a PING behind m1
//
// Nothing is sent from here: `attach` marks a client for the end of the turn, and the batch behind it.

import type { Flushable } from '../cluster/turn.ts';
import { type Area, areaOf, copyArea, copyBytes } from '../resp/copy.ts';

/** A client that can be subscribed. */
export interface Subscriber {
  /** Will write what is put into the batch from now on, when the turn ends. False: it must be told by `hear`. */
  attach(batch: Batch): boolean;
  /** Takes what the batch holds so far and waits for no more of it. */
  detach(batch: Batch): void;
  /** Writes a message, bytes `[from, to)` of a batch. */
  hear(batch: Batch, from: number, to: number): void;
  /** Writes what it is attached to now. */
  flush(): void;
  close(reason: string): void;
}

/** What is done at the end of a turn. */
export interface TurnEnd {
  markClient(one: Flushable): void;
}

/**
 * A batch is small, unless its audience had more to hear in its last turn: thousands of channels may have one each,
 * and buffers that come and go cost more in collection than all that is written into them.
 */
const SMALL_BYTES = 4096;
const LARGE_BYTES = 65536;
/** 4 MiB of each, at the most. */
const SMALL_POOLED = 1024;
const LARGE_POOLED = 64;
const small: Area[] = [];
const large: Area[] = [];

export class Batch implements Area, Flushable {
  readonly bytes: Buffer;
  readonly view: DataView;
  used = 0;
  /** Clients that take its messages one by one. */
  readonly strays: Subscriber[] = [];
  /** A socket still reads from it. */
  kept = false;
  private readonly area: Area;
  private readonly audience: Audience;

  constructor(area: Area, audience: Audience) {
    this.area = area;
    this.bytes = area.bytes;
    this.view = area.view;
    this.audience = audience;
  }

  /** All that were attached have been flushed. */
  flush(): void {
    this.audience.ended(this);
    if (this.kept) return;
    const { length } = this.bytes;
    if (length === SMALL_BYTES && small.length < SMALL_POOLED) small.push(this.area);
    else if (length === LARGE_BYTES && large.length < LARGE_POOLED) large.push(this.area);
  }
}

export class Audience {
  readonly members = new Set<Subscriber>();
  private readonly turn: TurnEnd;
  private batch: Batch | undefined = undefined;
  /** Bytes told in this turn, and whether they were many in the last. */
  private told = 0;
  private talkative = false;

  constructor(turn: TurnEnd) {
    this.turn = turn;
  }

  /** It hears what comes from now on. */
  add(member: Subscriber): void {
    this.members.add(member);
    this.batch?.strays.push(member);
  }

  /** It hears what has come, and no more. False: it was no member. */
  remove(member: Subscriber): boolean {
    if (!this.members.delete(member)) return false;
    const { batch } = this;
    if (batch === undefined) return true;
    member.detach(batch);
    for (let i = batch.strays.indexOf(member); i >= 0; i = batch.strays.indexOf(member))
      batch.strays.splice(i, 1);
    return true;
  }

  /** Tells all members: `head`, and behind it `bytes[from..to)`. */
  tell(head: Area, bytes: Buffer, from: number, to: number): void {
    const before = head.bytes.length;
    const length = before + to - from;
    let { batch } = this;
    if (batch === undefined || batch.used + length > batch.bytes.length) batch = this.open(length);
    const at = batch.used;
    copyArea(head, 0, before, batch, at);
    copyBytes(bytes, from, to, batch, at + before);
    batch.used += length;
    this.told += length;
    const { strays } = batch;
    for (let i = 0; i < strays.length; i++) strays[i]!.hear(batch, at, at + length);
  }

  /** The turn of a batch is over. */
  ended(batch: Batch): void {
    if (this.batch !== batch) return;
    this.batch = undefined;
    this.talkative = this.told > SMALL_BYTES;
    this.told = 0;
  }

  /** A batch with room for `length` bytes. The one before, if it is full, is written at once. */
  private open(length: number): Batch {
    if (this.batch !== undefined) for (const member of this.members) member.flush();
    const area = areaFor(length, this.talkative || this.batch !== undefined);
    const batch = new Batch(area, this);
    this.batch = batch;
    for (const member of this.members) if (!member.attach(batch)) batch.strays.push(member);
    this.turn.markClient(batch);
    return batch;
  }
}

function areaFor(length: number, talkative: boolean): Area {
  const wanted = talkative || length > SMALL_BYTES ? LARGE_BYTES : SMALL_BYTES;
  const area = length > wanted ? undefined : (wanted === SMALL_BYTES ? small : large).pop();
  return area ?? areaOf(Buffer.allocUnsafeSlow(Math.max(length, wanted)));
}
