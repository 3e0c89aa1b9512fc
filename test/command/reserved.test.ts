/** Names of the proxy's own keys: each in its slot, and told from all others. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  isReserved,
  lockKey,
  probeKey,
  tagOf,
  temporaryKey,
  withoutReserved,
} from '../../src/command/reserved.ts';
import { SLOTS, slotOf } from '../../src/command/slot.ts';
import { array, bulk, bulkString } from '../../src/resp/write.ts';

const slotOfKey = (key: Buffer) => slotOf(key, 0, key.length);

test('every slot has a tag of its own, and what is named with it lies there', () => {
  const tags = new Set<string>();
  for (let slot = 0; slot < SLOTS; slot++) {
    tags.add(tagOf(slot));
    assert.equal(slotOfKey(temporaryKey(slot, 'id', 3)), slot);
    assert.equal(slotOfKey(Buffer.from(probeKey(slot))), slot);
  }
  assert.equal(tags.size, SLOTS);
});

test('the lock of a key lies in its slot, whatever its bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const key = Buffer.from(bytes);
      const slot = slotOfKey(key);
      const lock = lockKey(slot, key);
      assert.equal(slotOfKey(lock), slot);
      assert.ok(isReserved(lock));
    }),
  );
});

test('two keys never share a lock', () => {
  const [one, other] = [Buffer.from('{t}a'), Buffer.from('{t}b')];
  const slot = slotOfKey(one);
  assert.notDeepEqual(lockKey(slot, one), lockKey(slot, other));
});

test('only what begins with the whole prefix is the proxy’s own', () => {
  for (const key of ['slotless:tmp:', 'slotless:lock:{1}:a']) assert.ok(isReserved(Buffer.from(key)), key);
  for (const key of [
    '',
    's',
    'slotless:',
    'slotless:tmp',
    'slotless:lock',
    'xslotless:tmp:',
    'Slotless:tmp:',
  ])
    assert.ok(!isReserved(Buffer.from(key)), key);
});

test('a list of keys is given without them, and as it is when it has none', () => {
  const own = [temporaryKey(7, 'id', 0), lockKey(9, Buffer.from('k'))].map(bulk);
  const [a, b] = [bulkString('a'), bulkString('about slotless:tmp: in the middle')];
  assert.deepEqual(withoutReserved(array([own[0]!, a!, own[1]!, b!])), array([a!, b!]));
  const plain = array([a!, b!]);
  assert.deepEqual(withoutReserved(plain), plain);
  assert.deepEqual(withoutReserved(array(own)), array([]));
  const error = Buffer.from('-ERR about slotless:tmp:\r\n');
  assert.deepEqual(withoutReserved(error), error);
});
