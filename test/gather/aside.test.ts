import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inSomeSlot, someSlot } from '../../src/gather/aside.ts';
import { Refusal } from '../../src/gather/reach.ts';
import { tryAgain } from '../../src/resp/errors.ts';
import { error } from '../../src/resp/write.ts';

test('a slot is one of those there are', () => {
  for (let i = 0; i < 1000; i++) {
    const slot = someSlot();
    assert.ok(Number.isInteger(slot) && slot >= 0 && slot < 16384, String(slot));
  }
});

test('another slot is tried while one is on the move, and not for ever', async () => {
  const tried: number[] = [];
  const found = await inSomeSlot(async (slot) => {
    tried.push(slot);
    if (tried.length < 5) throw new Refusal(tryAgain());
    return slot;
  });
  assert.equal(found, tried[4]);
  let count = 0;
  const never = inSomeSlot(async () => {
    count++;
    throw new Refusal(tryAgain());
  });
  await assert.rejects(never, Refusal);
  assert.equal(count, 8);
});

test('no other error is taken for a move, not even one that begins alike', async () => {
  for (const text of ['TRYAGAIN slotless: others', 'OOM command not allowed']) {
    let count = 0;
    const failing = inSomeSlot(async () => {
      count++;
      throw new Refusal(error(text));
    });
    await assert.rejects(failing, { message: text });
    assert.equal(count, 1);
  }
});
