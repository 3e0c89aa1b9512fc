/**
 * Feeding framers in pieces: the same bytes whole, byte by byte and cut at random must give the same frames.
 */

import fc from 'fast-check';

/** Where to cut `length` bytes: increasing offsets, the last is `length`. */
export type Cuts = (length: number) => number[];

export const whole: Cuts = (length) => [length];
export const byteByByte: Cuts = (length) => Array.from({ length }, (_, i) => i + 1);

/** Cuts at random places, given as fractions of the length. */
export const randomCuts: fc.Arbitrary<Cuts> = fc
  .array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 })
  .map((fractions) => (length: number) => {
    const cuts = fractions.map((fraction) => Math.floor(fraction * length));
    return [...cuts, length].sort((a, b) => a - b);
  });

/** Bytes that look like the protocol, well formed or not: tokens in any order. */
export function tokens(list: readonly string[]): fc.Arbitrary<Buffer> {
  const token = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...list) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary-ascii', maxLength: 3 }) },
  );
  return fc.array(token, { maxLength: 24 }).map((parts) => Buffer.from(parts.join(''), 'latin1'));
}
