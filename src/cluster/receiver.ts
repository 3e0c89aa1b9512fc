// Cuts what a node sends into replies. Hot.
//
// A reply that lies whole in the chunk it was read into is handed over as a view of it. One that straddles
// chunks is joined when it is short, and handed over in pieces as they come when it is long, so that a reply of
// many megabytes is never gathered here. Errors are always joined: whoever follows redirects reads them whole.
//
//   chunk  | :1 | $5 hello | *2 $3 fo    next chunk  o $1 x | +OK |
//            ^----^----------- whole        ^--------------' joined, then whole

import { ReplyFramer } from '../resp/reply.ts';
import type { Turn } from './turn.ts';

/** Takes what is received. */
export interface Receiving {
  /** Nobody may be given pieces: a handshake goes on. */
  readonly whole: boolean;
  /** Somebody waits for a reply. */
  readonly expecting: boolean;
  /** The connection is gone: nothing more is handed over. */
  readonly gone: boolean;
  /** A whole reply or push. The bytes are valid during the call only. */
  received(bytes: Buffer, from: number, to: number): void;
  /** The next bytes of a long reply. */
  receivedPiece(bytes: Buffer, from: number, to: number, last: boolean): void;
  /** What the node sends is not to be understood. */
  broken(reason: string): void;
}

const READ_BYTES = 262144;
/** A reply longer than this is handed over in pieces when it straddles chunks. */
const CARRY_BYTES = 16384;
/** Pushes, errors and the replies of a handshake are always joined, as a rule up to this. */
const MOST_WHOLE = 16_777_216;
const MINUS = 45;
const PUSH = 62;

export class Receiver {
  /** A long reply is being handed over in pieces. */
  streaming = false;

  private readonly link: Receiving;
  private readonly turn: Turn;
  private readonly mostWhole: number;
  private readonly framer: ReplyFramer;
  private chunk: Buffer | undefined = undefined;
  private carry: Buffer | undefined = undefined;
  private carried = 0;

  constructor(link: Receiving, turn: Turn, replyDepth: number, mostWhole = MOST_WHOLE) {
    this.link = link;
    this.mostWhole = mostWhole;
    this.turn = turn;
    this.framer = new ReplyFramer(replyDepth);
  }

  /** Where the next bytes shall be read to: a new buffer when views of the last one are kept. */
  buffer(): Buffer {
    // The first is asked for when the link connects, perhaps in the middle of another link's read.
    if (this.chunk === undefined) this.chunk = Buffer.allocUnsafeSlow(READ_BYTES);
    else if (this.turn.taken) {
      this.turn.taken = false;
      this.chunk = Buffer.allocUnsafeSlow(READ_BYTES);
    }
    return this.chunk;
  }

  /** For a new connection: nothing of the old one is left. */
  reset(): void {
    this.chunk = undefined;
    this.carry = undefined;
    this.carried = 0;
    this.streaming = false;
    this.framer.reset();
  }

  read(chunk: Buffer, length: number): void {
    const { framer, link } = this;
    this.turn.taken = false;
    let at = 0;
    while (at < length) {
      const end = framer.measure(chunk, at, length);
      if (end < 0) {
        if (end === -1) this.partial(chunk, at, length);
        else link.broken('the node sent what is no reply');
        return;
      }
      if (this.streaming) {
        this.streaming = false;
        link.receivedPiece(chunk, at, end, true);
      } else if (this.carried > 0) this.finish(chunk, at, end);
      else link.received(chunk, at, end);
      if (link.gone) return;
      at = end;
    }
  }

  private partial(chunk: Buffer, from: number, to: number): void {
    const { framer, link } = this;
    if (this.streaming) return link.receivedPiece(chunk, from, to, false);
    const size = this.carried + to - from;
    if (link.whole || framer.type === MINUS || framer.type === PUSH) {
      if (size > this.mostWhole)
        return link.broken(`the node sent an error or a push of more than ${this.mostWhole} bytes`);
      return this.keep(chunk, from, to);
    }
    if (size <= CARRY_BYTES && framer.bulkLeft <= CARRY_BYTES) return this.keep(chunk, from, to);
    if (!link.expecting) return link.broken('the node sent a reply that nobody asked for');
    this.streaming = true;
    if (this.carried > 0) {
      const { carry, carried } = this;
      this.carried = 0;
      link.receivedPiece(carry!, 0, carried, false);
      if (this.turn.taken) this.carry = undefined;
    }
    if (!link.gone) link.receivedPiece(chunk, from, to, false);
  }

  /** The end of a reply whose beginning was kept. */
  private finish(chunk: Buffer, from: number, to: number): void {
    this.keep(chunk, from, to);
    const { carry, carried } = this;
    this.carried = 0;
    this.link.received(carry!, 0, carried);
    // Whoever took a view of the joined reply took this buffer, not the chunk: both are given up.
    if (this.turn.taken || carry!.length > 4 * CARRY_BYTES) this.carry = undefined;
  }

  private keep(bytes: Buffer, from: number, to: number): void {
    const need = this.carried + to - from;
    if (this.carry === undefined || this.carry.length < need) {
      const grown = Buffer.allocUnsafeSlow(Math.max(CARRY_BYTES, need * 2));
      this.carry?.copy(grown, 0, 0, this.carried);
      this.carry = grown;
    }
    bytes.copy(this.carry, this.carried, from, to);
    this.carried = need;
  }
}
