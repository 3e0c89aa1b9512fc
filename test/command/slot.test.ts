import assert from 'node:assert/strict';
import { test } from 'node:test';
import clusterKeySlot from 'cluster-key-slot';
import fc from 'fast-check';
import { slotOf } from '../../src/command/slot.ts';

const slot = (key: string | Buffer) => {
  const bytes = Buffer.from(key as string);
  return slotOf(Buffer.concat([Buffer.from('{x}'), bytes, Buffer.from('}')]), 3, 3 + bytes.length);
};

test('the specification’s check value', () => {
  assert.equal(slot('123456789'), 0x31c3);
});

test('keys with one hash tag share its slot', () => {
  assert.equal(slot('{user1000}.following'), slot('user1000'));
  assert.equal(slot('foo{bar}{zap}'), slot('bar'));
  assert.equal(slot('foo{{bar}}zap'), slot('{bar'));
});

test('an empty or open hash tag is none: the whole key counts', () => {
  // The slots are the server's: CLUSTER KEYSLOT.
  assert.equal(slot('foo{}{bar}'), 8363);
  assert.equal(slot('foo{bar'), clusterKeySlot(Buffer.from('foo{bar')));
  assert.equal(slot(''), 0);
});

test('any key has the slot that cluster-key-slot gives, but after an empty tag', () => {
  const byte = fc.oneof(fc.nat(255), fc.constantFrom(123, 125, 97));
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 40 }), (bytes) => {
      const key = Buffer.from(bytes);
      const open = key.indexOf('{');
      fc.pre(open < 0 || key.indexOf('}', open) !== open + 1);
      assert.equal(slot(key), clusterKeySlot(key));
    }),
    { numRuns: 2000 },
  );
});
