// Copies bytes between buffers. Hot: several times per command.
//
// Most pieces are a short command, a key or a value. A call into `Buffer.copy` takes about 40 ns whatever the
// length, a loop 2 ns a byte.

const LOOP_BYTES = 16;

/** Copies `source[from..to)` to `target[at..)`, which must have the room. */
export function copyBytes(source: Buffer, from: number, to: number, target: Buffer, at: number): void {
  if (to - from > LOOP_BYTES) {
    source.copy(target, at, from, to);
    return;
  }
  for (let i = from, j = at; i < to; i++, j++) target[j] = source[i]!;
}
