import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { areaOf, copyArea, copyBytes } from '../../src/resp/copy.ts';

/** Lengths around what a loop over words and a loop over bytes leave to each other, and around the engine's copy. */
const length = fc.oneof(fc.nat(20), fc.integer({ min: 120, max: 140 }), fc.nat(3000));

/** Both copies are what Buffer.copy makes, and nothing beside them is touched. */
function check(source: Buffer, from: number, length: number, at: number): void {
  const target = Buffer.alloc(at + length + 9, 7);
  const expected = Buffer.from(target);
  source.copy(expected, at, from, from + length);
  const [first, second] = [areaOf(Buffer.from(target)), areaOf(Buffer.from(target))];
  copyBytes(source, from, from + length, first, at);
  copyArea(areaOf(source), from, from + length, second, at);
  assert.deepEqual(first.bytes, expected);
  assert.deepEqual(second.bytes, expected);
}

test('a copy is byte for byte what Buffer.copy makes, at every length and place, and of every byte', () => {
  const sources = [1, 2, 3].map((factor) => Buffer.from(Array.from({ length: 4000 }, (_, i) => i * factor)));
  fc.assert(fc.property(fc.constantFrom(...sources), fc.nat(900), length, fc.nat(9), check), {
    numRuns: 2000,
  });
});

test('bytes in the middle of a larger memory, and of a huge buffer, are copied as well', () => {
  const memory = Buffer.from(Array.from({ length: 5000 }, (_, i) => i));
  check(memory.subarray(1001, 2000), 3, 50, 1);
  const huge = Buffer.alloc(2_000_000, 'abc');
  check(huge, 1_999_000, 77, 0);
  check(memory, 0, 77, 3);
});
