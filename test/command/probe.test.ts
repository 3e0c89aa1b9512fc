import assert from 'node:assert/strict';
import { test } from 'node:test';
import { probeKey } from '../../src/command/probe.ts';
import { SLOTS, slotOf } from '../../src/command/slot.ts';

test('each slot has a key of its own', () => {
  for (let slot = 0; slot < SLOTS; slot++) {
    const key = Buffer.from(probeKey(slot));
    assert.equal(slotOf(key, 0, key.length), slot);
  }
});
