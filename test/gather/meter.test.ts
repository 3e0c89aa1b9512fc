import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Meter } from '../../src/gather/meter.ts';
import { Refusal } from '../../src/gather/reach.ts';

test('what is counted together may be as much as is permitted, and no byte more', () => {
  const meter = new Meter(10);
  meter.count(4);
  meter.count(0);
  meter.count(6);
  assert.throws(
    () => meter.count(1),
    (refusal) =>
      refusal instanceof Refusal && /would copy 11 bytes .* permits 10\r\n$/.test(String(refusal.reply)),
  );
});
