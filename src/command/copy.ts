// Copies bytes between buffers. HOT: several times per split or merged command.
//
// Pieces are mostly a key or a short value. Below some sixty bytes a plain loop is quicker than a view of the
// source and a call into the engine; above it is the other way round.

const SHORT = 64;

/** Copies source[start..end) to `at` in `target`, which must have the room. */
export function copyBytes(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): void {
  if (end - start > SHORT) {
    target.set(source.subarray(start, end), at);
    return;
  }
  for (let i = start, j = at; i < end; ) target[j++] = source[i++]!;
}
