/** A client's socket that a test is in charge of: it decides how much the kernel takes, and when. */

import type { Socket } from 'node:net';

export class FakeSocket {
  destroyed = false;
  /** How many writes there were. */
  writes = 0;
  /** What the kernel has taken. */
  private readonly taken: Buffer[] = [];
  /** Views of what it has not taken yet, as node keeps them: not copies. */
  private waiting: Buffer[] = [];
  private room: number;

  /** `room`: bytes that the kernel takes before `drain`. */
  constructor(room = Number.POSITIVE_INFINITY) {
    this.room = room;
  }

  get writableLength(): number {
    return this.waiting.reduce((sum, { length }) => sum + length, 0);
  }

  write(bytes: Buffer): boolean {
    this.writes++;
    const now = this.waiting.length === 0 ? Math.min(this.room, bytes.length) : 0;
    this.room -= now;
    this.taken.push(Buffer.from(bytes.subarray(0, now)));
    if (now < bytes.length) this.waiting.push(bytes.subarray(now));
    return this.waiting.length === 0;
  }

  /** The client reads: the kernel takes what has waited, as it is now, and this much more. */
  drain(room = Number.POSITIVE_INFINITY): void {
    for (const bytes of this.waiting) this.taken.push(Buffer.from(bytes));
    this.waiting = [];
    this.room = room;
  }

  /** What the client has got. */
  get text(): string {
    return Buffer.concat(this.taken).toString('latin1');
  }

  get socket(): Socket {
    return this as unknown as Socket;
  }
}
