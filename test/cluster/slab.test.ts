import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { adoptSlab, SLAB_BYTES, type Slab, takeSlab } from '../../src/cluster/slab.ts';

/** Puts a command of some bytes into a slab and says that it has been written. */
function put(slab: Slab, length: number): void {
  slab.used += length;
  slab.flushed = slab.used;
  slab.refs++;
}

test('a slab begins anew when all its commands are answered', () => {
  const slab = takeSlab(0);
  put(slab, 100);
  put(slab, 50);
  slab.release();
  assert.equal(slab.used, 150);
  slab.release();
  assert.deepEqual([slab.used, slab.flushed], [0, 0]);
});

test('a slab with bytes that are not written yet does not begin anew', () => {
  const slab = takeSlab(0);
  put(slab, 100);
  slab.used += 20;
  slab.release();
  assert.deepEqual([slab.used, slab.flushed], [120, 100]);
});

test('a retired slab is used again by another, empty', () => {
  const slab = takeSlab(0);
  put(slab, 100);
  slab.retired = true;
  slab.release();
  const next = takeSlab(0);
  assert.equal(next, slab);
  assert.deepEqual([next.used, next.flushed, next.refs, next.retired], [0, 0, 0, false]);
});

test('a slab with an unanswered command is given to nobody else', () => {
  const slab = takeSlab(0);
  put(slab, 100);
  put(slab, 100);
  slab.retired = true;
  slab.release();
  assert.notEqual(takeSlab(0), slab);
});

test('a command larger than a slab has one of its own size, which is never used again', () => {
  const slab = takeSlab(SLAB_BYTES + 1);
  assert.equal(slab.bytes.length, SLAB_BYTES + 1);
  put(slab, SLAB_BYTES + 1);
  slab.release();
  assert.notEqual(takeSlab(0), slab);
  assert.equal(takeSlab(0).bytes.length, SLAB_BYTES);
});

test('a buffer of the size of a slab is adopted and not made a slab for all', () => {
  const bytes = Buffer.alloc(SLAB_BYTES);
  const slab = adoptSlab(bytes, SLAB_BYTES);
  assert.equal(slab.bytes, bytes);
  assert.equal(slab.used, SLAB_BYTES);
  slab.refs = 1;
  slab.release();
  for (let i = 0; i < 4; i++) assert.notEqual(takeSlab(0).bytes, bytes);
});

test('no two users have the same slab, whatever the order in which they come and go', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 9 }), { maxLength: 200 }), (steps) => {
      const held: Slab[] = [];
      for (const step of steps) {
        const slab = step < 5 ? undefined : held.splice(step % Math.max(1, held.length), 1)[0];
        if (slab === undefined) {
          const taken = takeSlab(0);
          assert.ok(!held.includes(taken));
          assert.equal(taken.used, 0);
          put(taken, 10);
          held.push(taken);
        } else {
          slab.retired = true;
          slab.release();
        }
      }
      for (const slab of held) {
        slab.retired = true;
        slab.release();
      }
    }),
    { numRuns: 100 },
  );
});
