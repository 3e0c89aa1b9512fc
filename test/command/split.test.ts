import assert from 'node:assert/strict';
import { test } from 'node:test';
import clusterKeySlot from 'cluster-key-slot';
import fc from 'fast-check';
import { type Plan, singlyKeyed, split, splitByKey } from '../../src/command/split.ts';
import { decode, encode } from '../support/client.ts';
import { framed, framedOf } from './framed.ts';
import { SIX } from './six.ts';

function plan(...words: (string | Buffer)[]): Plan {
  return planOf(words);
}

function planOf(words: readonly (string | Buffer)[]): Plan {
  const args = framedOf(words);
  const made = split(SIX.find(args)!, args);
  assert.ok(made);
  return made;
}

const partsOf = ({ bytes, count, from, to }: Plan) =>
  Array.from({ length: count }, (_, p) => bytes.subarray(from[p], to[p]));

/** Keys out of few slots, of any bytes and lengths around the bounds of a length's digits. */
const key = fc.oneof(
  fc.constantFrom('{a}1', '{a}2', '{b}1', 'c', '').map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom(9, 10, 63, 64, 99, 100, 999, 1000, 70_000).map((length) => Buffer.alloc(length, 'k')),
);

test('each part holds the keys of one slot, in the order asked', () => {
  const made = plan('mget', '{a}1', 'b', '{a}2', 'b');
  assert.deepEqual(partsOf(made).map(decode), [
    ['mget', '{a}1', '{a}2'],
    ['mget', 'b', 'b'],
  ]);
  assert.deepEqual([...made.part], [0, 1, 0, 1]);
  assert.deepEqual([...made.slot], [clusterKeySlot('a'), clusterKeySlot('b')]);
});

test('a value goes with its key, and of two values for one key the last stays the last', () => {
  assert.deepEqual(partsOf(plan('MSET', 'a', '1', 'b', '2', 'a', '3')).map(decode), [
    ['MSET', 'a', '1', 'a', '3'],
    ['MSET', 'b', '2'],
  ]);
});

test('keys and values that don’t come out even are no plan', () => {
  for (const words of [['MSET', 'a'], ['MSET', 'a', '1', 'b'], ['MGET'], ['DEL']]) {
    const args = framed(...words);
    assert.equal(split(SIX.find(args)!, args), undefined, words.join(' '));
  }
});

test('any call is cut as a naive model cuts it', () => {
  const name = fc.constantFrom('MGET', 'mset', 'Del', 'EXISTS', 'touch', 'UNLINK');
  fc.assert(
    fc.property(name, fc.array(fc.tuple(key, key), { minLength: 1, maxLength: 40 }), (name, pairs) => {
      const withValues = name === 'mset';
      const made = plan(name, ...pairs.flatMap(([key, value]) => (withValues ? [key, value] : [key])));
      const parts = new Map<number, Buffer[]>();
      for (const [key, value] of pairs) {
        // An empty tag is the one case in which the two differ.
        const open = key.indexOf('{');
        fc.pre(open < 0 || key.indexOf('}', open) !== open + 1);
        const slot = clusterKeySlot(key);
        parts.set(slot, [
          ...(parts.get(slot) ?? [Buffer.from(name)]),
          ...(withValues ? [key, value] : [key]),
        ]);
      }
      assert.deepEqual([...made.slot], [...parts.keys()]);
      assert.deepEqual(
        partsOf(made),
        [...parts.values()].map((words) => encode(words)),
      );
      const slots = [...parts.keys()];
      assert.deepEqual(
        Array.from({ length: made.keys }, (_, k) => made.slot[made.part[k]!]),
        pairs.map(([key]) => slots[slots.indexOf(clusterKeySlot(key))]),
      );
    }),
  );
});

test('a call is cut by its keys as by as many slots, doubles and all', () => {
  const name = fc.constantFrom('MGET', 'Del', 'EXISTS', 'touch', 'UNLINK');
  fc.assert(
    fc.property(name, fc.array(key, { minLength: 1, maxLength: 20 }), (name, keys) => {
      const bytes = Buffer.concat([Buffer.from('+OK\r\n'), encode([name, ...keys])]);
      const made = splitByKey(bytes, 5, bytes.length, 7);
      assert.deepEqual(
        partsOf(made),
        keys.map((one) => encode([name, one])),
      );
      assert.deepEqual([made.keys, ...made.slot], [keys.length, ...keys.map(() => 7)]);
      assert.deepEqual(
        made.part,
        keys.map((_, k) => k),
      );
    }),
  );
  assert.deepEqual(
    ['mget', 'mset', 'del', 'exists', 'touch', 'unlink'].filter((one) => singlyKeyed(SIX.find(framed(one))!)),
    ['mget', 'del', 'exists', 'touch', 'unlink'],
  );
});

test('keys in all slots make a plan', () => {
  const made = planOf(['DEL', ...Array.from({ length: 200_000 }, (_, i) => `key:${i}`)]);
  assert.equal(made.count, 16384);
  assert.equal(
    partsOf(made).reduce((sum, part) => sum + (decode(part) as string[]).length - 1, 0),
    200_000,
  );
});
