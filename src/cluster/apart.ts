// A call of several keys that a node has told to try again, since some of them have moved to the slot's next owner
// and some have not (or never were there): done key by key instead, which a node never refuses.
//
//   MGET a b c, TRYAGAIN --> round 1, to the source:  MGET a  *1 $1 x     MGET b  -ASK     MGET c  -ASK
//                            round 2, to the target:                      MGET b  *1 $1 y  MGET c  *1 $-1
//                            merged as the parts of a call over several slots are
//
// The invariant: for all else that may wait for it there is still one call, under way until its last key is done.
// So what stands behind it goes on standing there, and it is the call that follows a redirect, waits at a gate or
// gives up: a round ends when all of its keys are answered, and what refused some of them, or the loss of the
// link, is then told to the call as if it had been its own. The next round takes what has not been executed; but
// only keys of which the source said ASK are asked for at the target, since there a key that is still at the source
// would look like none.
// Waiting instead, as all other commands do, lasts until the keys are together: for a large slot, minutes.

import type { Link, Pending } from './link.ts';
import { ASK, NONE, redirectOf } from './redirect.ts';
import type { Slab } from './slab.ts';

/** A call cut into commands that together do the same. */
export interface Pieces {
  readonly bytes: Buffer;
  /** Of piece i: `bytes[from[i]..to[i])`. */
  readonly from: readonly number[];
  readonly to: readonly number[];
  /** One reply of all pieces' replies, errors among them. */
  merge(replies: readonly Buffer[]): Buffer;
  /** Bytes of replies that wait for the others; negative when they have been merged. */
  gathering(bytes: number): void;
}

/** What the call does at the end of a round. */
export interface Divided {
  /** Some keys were refused. True: it is under way again, and a round begins when it has come to a node. */
  bounce(bytes: Buffer, from: number, to: number): boolean;
  /** As of any call, but that `begun` does not matter: nothing has been handed on. */
  lost(sent: boolean, begun: boolean, reason: string): void;
  /** None was refused, and there are more. */
  goOn(): void;
  /** It is done, with this reply. */
  join(reply: Buffer): void;
}

/** Keys that are under way at a time: other clients' commands come between the rounds of a large call. */
const MOST = 1000;
const MINUS = 45;

export class Apart {
  private readonly call: Divided;
  private readonly pieces: Pieces;
  private readonly replies: (Buffer | undefined)[];
  private bytes = 0;
  /** Keys that have not been executed and are not under way. */
  private left: number[];
  /** Those that the last round's node has sent elsewhere, each by an ASK of its own: where they are asked next. */
  private asked: number[] = [];
  private ask: Buffer | undefined = undefined;
  /** Of this round: how many have no reply, the last that was refused otherwise, why the link was lost. */
  private missing = 0;
  private refusal: Buffer | undefined = undefined;
  private broken: string | undefined = undefined;
  private sent = false;

  constructor(call: Divided, pieces: Pieces) {
    this.call = call;
    this.pieces = pieces;
    this.left = pieces.from.map((_, i) => i);
    this.replies = pieces.from.map(() => undefined);
  }

  /** Begins a round. `asking`: at the node that an ASK has named. */
  send(link: Link, asking: boolean): void {
    const { bytes, from, to } = this.pieces;
    // An ASK speaks of its key alone: the next round at the source is for all that are left.
    if (!asking) this.left = this.left.concat(this.asked);
    const round = asking ? this.asked : this.left.splice(-MOST);
    this.asked = [];
    this.ask = this.refusal = this.broken = undefined;
    this.sent = false;
    this.missing = round.length;
    for (const i of round) {
      if (asking) link.asking();
      const piece = new Piece(this, i);
      piece.slab = link.send(piece, bytes, from[i]!, to[i]!);
    }
  }

  /** The reply when no more is tried: what has been done is not hidden behind an error that says "not executed". */
  withRest(error: Buffer): Buffer {
    this.replies.forEach((reply, i) => {
      this.replies[i] = reply ?? error;
    });
    return this.merged();
  }

  /** A whole reply. */
  replied(i: number, reply: Buffer): void {
    const kind = reply[0] === MINUS ? redirectOf(reply, 0, reply.length) : NONE;
    if (kind === NONE) {
      this.replies[i] = reply;
      this.bytes += reply.length;
      this.pieces.gathering(reply.length);
    } else if (kind === ASK && (this.ask === undefined || this.ask.equals(reply))) {
      this.ask = reply;
      this.asked.push(i);
    } else {
      if (kind !== ASK) this.refusal = reply;
      this.left.push(i);
    }
    this.done();
  }

  lost(i: number, sent: boolean, reason: string): void {
    this.sent ||= sent;
    this.broken = reason;
    this.left.push(i);
    this.done();
  }

  private done(): void {
    if (--this.missing > 0) return;
    const { call, broken } = this;
    const refusal = this.refusal ?? this.ask;
    if (broken !== undefined) call.lost(this.sent, false, broken);
    else if (refusal !== undefined) {
      if (!call.bounce(refusal, 0, refusal.length)) call.join(this.withRest(refusal));
    } else if (this.left.length > 0) call.goOn();
    else call.join(this.merged());
  }

  private merged(): Buffer {
    this.pieces.gathering(-this.bytes);
    return this.pieces.merge(this.replies as Buffer[]);
  }
}

/** One key's command. */
class Piece implements Pending {
  slab: Slab | undefined = undefined;
  private readonly apart: Apart;
  private readonly index: number;
  private long: Buffer[] = [];

  constructor(apart: Apart, index: number) {
    this.apart = apart;
    this.index = index;
  }

  reply(bytes: Buffer, from: number, to: number): void {
    this.slab!.release();
    this.apart.replied(this.index, Buffer.from(bytes.subarray(from, to)));
  }

  piece(bytes: Buffer, from: number, to: number, last: boolean): void {
    this.long.push(Buffer.from(bytes.subarray(from, to)));
    if (!last) return;
    this.slab!.release();
    this.apart.replied(this.index, Buffer.concat(this.long));
  }

  lost(sent: boolean, _begun: boolean, reason: string): void {
    this.slab!.release();
    this.apart.lost(this.index, sent, reason);
  }
}
