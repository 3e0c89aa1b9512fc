import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OwnWrites } from '../../src/client/own-writes.ts';

const ALWAYS = Number.POSITIVE_INFINITY;
const NEVER = Number.NEGATIVE_INFINITY;

function written(slots: readonly (readonly [slot: number, at: number])[]): OwnWrites {
  const writes = new OwnWrites();
  for (const [slot, at] of slots) {
    writes.started(slot);
    writes.answered(slot, at);
  }
  return writes;
}

test('a slot that was not written to may be read as it is', () => {
  assert.equal(written([[5, 100]]).after(6), -1);
});

test('while a write is under way the primary has to be asked', () => {
  const writes = new OwnWrites();
  writes.started(5);
  assert.equal(writes.after(5), ALWAYS);
  writes.started(5);
  writes.answered(5, 100);
  assert.equal(writes.after(5), ALWAYS);
  writes.answered(5, 110);
  assert.equal(writes.after(5), 110);
});

test('what was written nobody knows where counts for every slot', () => {
  const writes = written([[5, 100]]);
  writes.all(90);
  assert.equal(writes.after(5), 100);
  assert.equal(writes.after(6), 90);
  writes.all(120);
  assert.equal(writes.after(5), 120);
});

test('what all replicas have is forgotten, and one that comes back later must have it all the same', () => {
  const writes = written([
    [1, 100],
    [2, 200],
    [3, 300],
  ]);
  writes.sweep(250, 0);
  assert.equal(writes.after(3), 300);
  // Not known one by one any more: all slots are as new as the newest of what was forgotten.
  assert.deepEqual(
    [1, 2, 7].map((slot) => writes.after(slot)),
    [200, 200, 200],
  );
});

test('what is older than it needs to be is forgotten for good', () => {
  const writes = written([
    [1, 100],
    [2, 200],
  ]);
  writes.all(90);
  writes.sweep(NEVER, 150);
  assert.deepEqual(
    [1, 2].map((slot) => writes.after(slot)),
    [-1, 200],
  );
});

test('a write under way is never forgotten', () => {
  const writes = written([[1, 100]]);
  writes.started(1);
  writes.started(2);
  writes.sweep(ALWAYS, ALWAYS);
  assert.deepEqual(
    [1, 2].map((slot) => writes.after(slot)),
    [ALWAYS, ALWAYS],
  );
});

test('it asks to be swept each sixty-four writes', () => {
  const writes = new OwnWrites();
  for (let i = 0; i < 63; i++) {
    writes.started(i);
    writes.answered(i, i);
  }
  assert.equal(writes.due, false);
  writes.started(1);
  writes.answered(1, 70);
  assert.equal(writes.due, true);
  writes.sweep(NEVER, NEVER);
  assert.equal(writes.due, false);
});
