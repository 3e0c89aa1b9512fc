// Where the bytes of commands lie between being framed and being answered. Hot.
//
// A command must be kept until its reply comes, since a redirect sends it again. Keeping a Buffer per command
// would cost an allocation each; so commands are copied behind each other into slabs of 64 KiB, written to
// the socket from there, and a slab counts how many of its commands are still unanswered. At zero it starts
// over: with few commands in flight the same cache lines serve for ever.
//
//   slab  | GET a | GET b | SET c 1 |  GET d | ......free...... |
//                           ^ flushed          ^ used              refs: how many of them are unanswered
//
// A command larger than a slab has one of its own, of its own size.

import { type Area, viewOf } from '../resp/copy.ts';

export const SLAB_BYTES = 65536;
const POOLED_SLABS = 256;

export class Slab implements Area {
  readonly bytes: Buffer;
  readonly view: DataView;
  used = 0;
  flushed = 0;
  refs = 0;
  /** No longer appended to: free as soon as nothing in it is unanswered. */
  retired = false;
  /** Of a size of its own: never used again. */
  own = false;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.view = viewOf(bytes);
  }

  /** One command of this slab is answered. */
  release(): void {
    if (--this.refs !== 0) return;
    if (this.retired) giveBack(this);
    else if (this.flushed === this.used) this.used = this.flushed = 0;
  }
}

const pool: Slab[] = [];

/** An empty slab with room for at least `length` bytes. */
export function takeSlab(length: number): Slab {
  if (length > SLAB_BYTES) return adoptSlab(Buffer.allocUnsafeSlow(length), 0);
  return pool.pop() ?? new Slab(Buffer.allocUnsafeSlow(SLAB_BYTES));
}

/** A slab around bytes that are already a buffer of their own: no copy. */
export function adoptSlab(bytes: Buffer, used: number): Slab {
  const slab = new Slab(bytes);
  slab.used = used;
  slab.retired = slab.own = true;
  return slab;
}

function giveBack(slab: Slab): void {
  if (slab.own || pool.length >= POOLED_SLABS) return;
  slab.used = slab.flushed = 0;
  slab.retired = false;
  pool.push(slab);
}
