// Finds a command by the bytes of its name, in any case. HOT: once per command.
//
// Open addressing over a hash of the bytes as they stand in the input: no string is made, nothing is
// allocated. The hash folds case by setting bit 5 of every byte, which lets a few odd bytes collide ('_' with
// DEL); the comparison that follows is exact.

import { lower } from './arguments.ts';

export class NameIndex<T> {
  private readonly mask: number;
  private readonly longest: number;
  /** Places in `names` and `found`, plus one; 0 is a free cell. */
  private readonly cells: Int32Array;
  private readonly names: Buffer[];
  private readonly found: T[];

  /** @param names in lower case, each once; names[i] finds found[i] */
  constructor(names: readonly string[], found: readonly T[]) {
    let size = 4;
    while (size < names.length * 4) size *= 2;
    this.mask = size - 1;
    this.longest = names.reduce((most, name) => Math.max(most, Buffer.byteLength(name)), 0);
    this.cells = new Int32Array(size);
    this.names = names.map((name) => Buffer.from(name));
    this.found = [...found];
    this.names.forEach((name, i) => {
      let cell = hash(name, 0, name.length) & this.mask;
      while (this.cells[cell] !== 0) cell = (cell + 1) & this.mask;
      this.cells[cell] = i + 1;
    });
  }

  /** What is named bytes[start..end), whatever the case of its letters. */
  find(bytes: Uint8Array, start: number, end: number): T | undefined {
    if (end - start > this.longest) return undefined;
    let cell = hash(bytes, start, end) & this.mask;
    for (;;) {
      const place = this.cells[cell]! - 1;
      if (place < 0) return undefined;
      if (same(this.names[place]!, bytes, start, end)) return this.found[place];
      cell = (cell + 1) & this.mask;
    }
  }
}

/** FNV-1a with its halves folded together, since the mask keeps low bits only. */
function hash(bytes: Uint8Array, start: number, end: number): number {
  let h = 0x811c9dc5 | 0;
  for (let i = start; i < end; i++) h = Math.imul(h ^ (bytes[i]! | 32), 0x01000193);
  return h ^ (h >>> 15);
}

function same(name: Buffer, bytes: Uint8Array, start: number, end: number): boolean {
  const length = end - start;
  if (name.length !== length) return false;
  for (let i = 0; i < length; i++) {
    const byte = bytes[start + i]!;
    if (name[i] !== byte && name[i] !== lower(byte)) return false;
  }
  return true;
}
