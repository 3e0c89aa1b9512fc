// Replies that are not sent but kept: those of commands that one command executes on the client's behalf. Cold.

import type { Area } from '../resp/copy.ts';
import type { Outlet } from './replies.ts';

export class Spool implements Outlet {
  private readonly pieces: Buffer[] = [];

  append(bytes: Buffer, from: number, to: number): void {
    this.pieces.push(Buffer.from(bytes.subarray(from, to)));
  }

  appendArea({ bytes }: Area, from: number, to: number): void {
    this.append(bytes, from, to);
  }

  /** All of them, one behind the other. */
  bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }
}
