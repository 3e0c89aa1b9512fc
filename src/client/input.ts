// What a client has sent and the proxy has not executed yet. Hot.
//
// As long as commands come whole there is nothing to keep: they are framed where they were read. Only a
// command that goes on in bytes to come, or that must wait, is copied here, together with its half-done frame.
// An idle client keeps nothing.

import type { Frame } from '../resp/request.ts';

const FIRST_BYTES = 4096;

export class Input {
  bytes: Buffer | undefined = undefined;
  from = 0;
  to = 0;
  /** The frame of the command that begins at `from`, when it has been begun. */
  frame: Frame | undefined = undefined;

  get length(): number {
    return this.bytes === undefined ? 0 : this.to - this.from;
  }

  /** Makes `bytes[start..end)` what is kept, whether it was here already or not. */
  retain(bytes: Buffer, start: number, end: number, frame: Frame | undefined): void {
    this.frame = frame;
    if (bytes === this.bytes) {
      this.from = start;
      return;
    }
    this.bytes = Buffer.allocUnsafeSlow(Math.max(FIRST_BYTES, (end - start) * 2));
    bytes.copy(this.bytes, 0, start, end);
    this.from = 0;
    this.to = end - start;
    frame?.rebase(this.bytes, -start);
  }

  /** Appends what was read. */
  append(bytes: Buffer, length: number): void {
    if (this.to + length > this.bytes!.length) this.makeRoom(length);
    bytes.copy(this.bytes!, this.to, 0, length);
    this.to += length;
  }

  forget(): void {
    this.bytes = undefined;
    this.frame = undefined;
    this.from = this.to = 0;
  }

  private makeRoom(length: number): void {
    const old = this.bytes!;
    const used = this.to - this.from;
    const target = (used + length) * 2 > old.length ? Buffer.allocUnsafeSlow((used + length) * 2) : old;
    old.copy(target, 0, this.from, this.to);
    this.frame?.rebase(target, -this.from);
    this.bytes = target;
    this.from = 0;
    this.to = used;
  }
}
