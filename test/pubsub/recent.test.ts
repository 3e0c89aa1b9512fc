import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CHANNEL } from '../../src/pubsub/names.ts';
import { Recent } from '../../src/pubsub/recent.ts';
import { Subscription } from '../../src/pubsub/subscription.ts';

const subscription = (name: Buffer) => new Subscription(CHANNEL, name, { markClient: () => {} });

function find(recent: Recent, name: Buffer): Subscription | undefined {
  const bytes = Buffer.concat([Buffer.from('before'), name, Buffer.from('behind')]);
  return recent.find(bytes, 6, 6 + name.length);
}

test('what was put there last is found, by its own name and no other', () => {
  const name = fc
    .array(fc.constantFrom(0, 65, 66, 255), { maxLength: 100 })
    .map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 50 }), name, (names, other) => {
      const recent = new Recent();
      for (const one of names) {
        const kept = subscription(one);
        recent.keep(kept);
        assert.equal(find(recent, one), kept);
      }
      const found = find(recent, other);
      assert.ok(found === undefined || found.name.equals(other));
    }),
    { numRuns: 500 },
  );
});

test('names that begin or end alike are told apart', () => {
  const recent = new Recent();
  const long = 'x'.repeat(100);
  const names = ['', 'a', 'aa', `${long}a`, `${long}b`, `a${long}`, `b${long}`].map((text) =>
    Buffer.from(text),
  );
  for (const name of names) {
    const kept = subscription(name);
    recent.keep(kept);
    for (const other of names) assert.equal(find(recent, other) === kept, other === name);
  }
});

test('what is forgotten is not found, and takes nobody else along', () => {
  const recent = new Recent();
  const [old, fresh] = [subscription(Buffer.from('a')), subscription(Buffer.from('a'))];
  recent.keep(old);
  recent.forget(old);
  assert.equal(find(recent, old.name), undefined);
  recent.keep(fresh);
  recent.forget(old);
  assert.equal(find(recent, old.name), fresh);
});
