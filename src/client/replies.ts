// One client's replies, in the order of its commands. Hot.
//
// Each command that goes out takes a place in the queue. The reply for the place in front is written at once;
// one that comes early is copied and waits, and goes out when those before it have. So a client's replies
// can't change places, whichever nodes they come from and whatever happens to them on the way.
//
//   places: | GET a (waits) | GET b (done, held) | MGET (waits) |
//             ^ front: its reply passes straight through to the outbox

import { adoptSlab, SLAB_BYTES, type Slab, takeSlab } from '../cluster/slab.ts';
import { type Area, copyBytes } from '../resp/copy.ts';
import { DIRECT_BYTES } from './outbox.ts';

/** A command's place in the order of replies. */
export interface Place {
  next: Place | undefined;
  done: boolean;
  /** A reply that came early: bytes `[heldFrom, heldTo)` of a slab. */
  held: Slab | undefined;
  heldFrom: number;
  heldTo: number;
  /** A long reply that came early, in pieces. */
  pieces: Buffer[] | undefined;
}

/** A part of a reply. */
export interface Piece {
  readonly slab: Area;
  readonly from: number;
  readonly to: number;
}

/** Where replies go in their order: to the client's socket, as a rule. */
export interface Outlet {
  append(bytes: Buffer, from: number, to: number): void;
  appendArea(area: Area, from: number, to: number): void;
}

/** Replies that nobody is to get. */
export const NOWHERE: Outlet = { append: () => {}, appendArea: () => {} };

/** Early replies of all clients of this thread lie behind each other. */
let arena: Slab = takeSlab(0);

export class Replies {
  /** Bytes of early replies. */
  heldBytes = 0;
  /** Places without a complete reply, or behind one. */
  count = 0;
  front: Place | undefined = undefined;

  /** A part of the reply for the front place is out: what is no reply waits for the rest. */
  midway = false;

  private back: Place | undefined = undefined;
  /** The last of what waits for it. */
  private waiting: Place | undefined = undefined;
  private readonly home: Outlet;
  private outlet: Outlet;
  private muted = false;

  constructor(outlet: Outlet) {
    this.home = outlet;
    this.outlet = outlet;
  }

  push(place: Place): void {
    this.count++;
    if (this.back === undefined) this.front = place;
    else this.back.next = place;
    this.back = place;
  }

  /** A reply to what has no place, with no place before it. */
  say(reply: Buffer): void {
    this.outlet.append(reply, 0, reply.length);
  }

  /** What is no reply, behind those that there are places for; also when replies are left out. */
  sayAloud(bytes: Buffer): void {
    if (this.front === undefined) return this.home.append(bytes, 0, bytes.length);
    this.push(new Aloud(bytes));
    this.heldBytes += bytes.length;
  }

  /** What is no reply, at once or behind a reply that is half out; also when replies are left out. */
  interject(area: Area, from: number, to: number): void {
    if (!this.midway || this.front === undefined) return this.home.appendArea(area, from, to);
    const aloud = new Aloud(Buffer.from(area.bytes.subarray(from, to)));
    const before = this.waiting ?? this.front;
    aloud.next = before.next;
    before.next = aloud;
    if (before === this.back) this.back = aloud;
    this.waiting = aloud;
    this.count++;
    this.heldBytes += to - from;
  }

  /** Replies behind the places that there are now are left out (true), or no more. */
  mute(on: boolean): void {
    if (on === this.muted) return;
    this.muted = on;
    const outlet = on ? NOWHERE : this.home;
    if (this.front === undefined) this.outlet = outlet;
    else this.push(new Switch(outlet));
  }

  /** The whole reply for a place. */
  answer(place: Place, bytes: Buffer, from: number, to: number): void {
    if (place === this.front) {
      this.outlet.append(bytes, from, to);
      this.advance();
    } else {
      hold(place, bytes, from, to);
      this.heldBytes += to - from;
      place.done = true;
    }
  }

  /** The whole reply for the place in front: a head and what lies in several areas. */
  answerJoined(head: Area, pieces: readonly Piece[]): void {
    this.outlet.appendArea(head, 0, head.bytes.length);
    for (const { slab, from, to } of pieces) this.outlet.appendArea(slab, from, to);
    this.advance();
  }

  /** The next bytes of a long reply for a place. */
  answerPiece(place: Place, bytes: Buffer, from: number, to: number, last: boolean): void {
    if (place === this.front) {
      this.outlet.append(bytes, from, to);
      this.midway = true;
      if (last) this.advance();
      return;
    }
    place.pieces ??= [];
    place.pieces.push(Buffer.from(bytes.subarray(from, to)));
    this.heldBytes += to - from;
    place.done = last;
  }

  /** Forgets all places: the client is gone. */
  clear(): void {
    for (let place = this.front; place !== undefined; place = place.next) {
      place.held?.release();
      place.held = undefined;
      place.pieces = undefined;
    }
    this.front = this.back = this.waiting = undefined;
    this.midway = false;
    this.count = this.heldBytes = 0;
  }

  /** The front place is answered: what has come early behind it goes out too. */
  private advance(): void {
    let place = this.front!.next;
    this.count--;
    this.midway = false;
    this.waiting = undefined;
    while (place !== undefined) {
      if (place.held !== undefined) this.writeHeld(place);
      if (place.pieces !== undefined) {
        this.writePieces(place);
        this.midway = !place.done;
      }
      if (!place.done) break;
      this.count--;
      place = place.next;
    }
    this.front = place;
    if (place === undefined) this.back = undefined;
  }

  private writeHeld(place: Place): void {
    const { held, heldFrom, heldTo } = place;
    this.outlet.appendArea(held!, heldFrom, heldTo);
    this.heldBytes -= heldTo - heldFrom;
    held!.release();
    place.held = undefined;
  }

  private writePieces(place: Place): void {
    if (place instanceof Switch) {
      this.outlet = place.outlet;
      return;
    }
    const outlet = place instanceof Aloud ? this.home : this.outlet;
    for (const piece of place.pieces!) {
      outlet.append(piece, 0, piece.length);
      this.heldBytes -= piece.length;
    }
    place.pieces = undefined;
  }
}

/** No reply's place: what is behind it goes to another outlet. It has pieces so that it is looked at. */
class Switch implements Place {
  next: Place | undefined = undefined;
  done = true;
  held: Slab | undefined = undefined;
  heldFrom = 0;
  heldTo = 0;
  pieces: Buffer[] | undefined = [];
  readonly outlet: Outlet;

  constructor(outlet: Outlet) {
    this.outlet = outlet;
  }
}

/** No reply's place: it goes out in its turn even when replies are left out. */
class Aloud implements Place {
  next: Place | undefined = undefined;
  done = true;
  held: Slab | undefined = undefined;
  heldFrom = 0;
  heldTo = 0;
  pieces: Buffer[] | undefined;

  constructor(bytes: Buffer) {
    this.pieces = [bytes];
  }
}

function hold(place: Place, bytes: Buffer, from: number, to: number): void {
  const slab = holdBytes(bytes, from, to);
  place.held = slab;
  place.heldTo = slab.used;
  place.heldFrom = slab.used - (to - from);
}

/** Copies bytes that must wait to `[slab.used - length, slab.used)` of a slab, to be released by the caller. */
export function holdBytes(bytes: Buffer, from: number, to: number): Slab {
  const length = to - from;
  let slab = arena;
  // A large one is written from where it lies, later perhaps: no other may come to lie there.
  if (length >= DIRECT_BYTES) slab = adoptSlab(Buffer.allocUnsafeSlow(length), 0);
  else if (slab.used + length > SLAB_BYTES) {
    slab.retired = true;
    slab = arena = takeSlab(0);
  }
  copyBytes(bytes, from, to, slab, slab.used);
  slab.used += length;
  slab.flushed = slab.used;
  slab.refs++;
  return slab;
}
