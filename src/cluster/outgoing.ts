// The bytes of a link's commands, from being sent until they are answered. Hot.
//
// Commands are appended to the current slab; a flush writes what is new of it, together with slabs that have
// filled up meanwhile, in one go.

import type { Socket } from 'node:net';
import { copyBytes } from '../resp/copy.ts';
import { SLAB_BYTES, type Slab, takeSlab } from './slab.ts';

export class Outgoing {
  /** Bytes that have not been written. */
  unflushed = 0;

  private slab: Slab = takeSlab(0);
  /** Full slabs with bytes that have not been written, before `slab`. */
  private filled: Slab[] = [];

  /** Copies a command; its bytes are then `[slab.used - length, slab.used)` of the slab that is returned. */
  append(bytes: Buffer, from: number, to: number): Slab {
    const length = to - from;
    let slab = this.slab;
    if (slab.used + length > SLAB_BYTES) slab = length > SLAB_BYTES ? this.ownSlab(length) : this.nextSlab();
    copyBytes(bytes, from, to, slab, slab.used);
    slab.used += length;
    slab.refs++;
    this.unflushed += length;
    return slab;
  }

  /** Writes what has not been written; how many bytes that was. */
  flush(socket: Socket): number {
    const { slab, filled, unflushed } = this;
    if (filled.length > 0) {
      socket.cork();
      for (const each of filled) write(socket, each);
      this.filled = [];
      if (slab.used > slab.flushed) write(socket, slab);
      socket.uncork();
    } else if (slab.used > slab.flushed) write(socket, slab);
    this.unflushed = 0;
    return unflushed;
  }

  /** For a new connection. Commands that will be sent again may still refer to the old slabs: they are not reused. */
  reset(): void {
    this.slab = takeSlab(0);
    this.filled = [];
    this.unflushed = 0;
  }

  private nextSlab(): Slab {
    const old = this.slab;
    old.retired = true;
    if (old.used > old.flushed) this.filled.push(old);
    this.slab = takeSlab(0);
    return this.slab;
  }

  private ownSlab(length: number): Slab {
    if (this.slab.used > 0) this.nextSlab();
    const slab = takeSlab(length);
    this.filled.push(slab);
    return slab;
  }
}

function write(socket: Socket, slab: Slab): void {
  const { bytes, flushed, used } = slab;
  slab.flushed = used;
  socket.write(flushed === 0 && used === bytes.length ? bytes : bytes.subarray(flushed, used));
}
