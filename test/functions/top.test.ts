import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { reduced, reducedBytes } from './reduced.ts';

test('of members and scores the highest stay, in the shape in which they came', () => {
  const flat = [['a', '1', 'b', '9.5'], [], ['c', '5', 'd', '-inf']];
  assert.deepEqual(reduced('topk:2', flat, { resp: 2 }), ['b', '9.5', 'c', '5']);
  const pairs = [
    [
      ['a', 1],
      ['b', 9.5],
    ],
    [],
    [
      ['c', 5],
      ['d', Number.NEGATIVE_INFINITY],
    ],
  ];
  assert.deepEqual(reduced('topk:3', pairs), [
    ['b', 9.5],
    ['c', 5],
    ['a', 1],
  ]);
  assert.deepEqual(reduced('topk:3', [null, []], { resp: 2 }), []);
});

test('of equal scores the first in the order of the replies is higher', () => {
  const replies = [
    ['a', '1', 'b', '1'],
    ['c', '1'],
    ['d', '2'],
  ];
  assert.deepEqual(reduced('topk:3', replies, { resp: 2, arrival: [2, 1, 0] }), [
    'd',
    '2',
    'a',
    '1',
    'b',
    '1',
  ]);
  assert.deepEqual(reduced('topk:2', replies, { resp: 2, arrival: [1, 0, 2], order: 'arrival' }), [
    'd',
    '2',
    'c',
    '1',
  ]);
});

test('rows are ordered by one of their fields', () => {
  const rows = [
    [
      ['x', 'one', 3n],
      ['y', 'two', '30'],
    ],
    [['z', 'three', 4.5]],
  ];
  assert.deepEqual(reduced('topk:2:2', rows), [
    ['y', 'two', '30'],
    ['z', 'three', 4.5],
  ]);
});

test('a reply of another shape is a part that failed', () => {
  assert.throws(
    () => reduced('topk:2', [['a', '1'], 'x']),
    /part node n1 failed: ERR its reply can not be reduced: it is neither/,
  );
  assert.throws(() => reduced('topk:2', [['a', '1', 'b']]), /of an odd length/);
  assert.throws(() => reduced('topk:2', [['a', 'b']]), /a score is no number/);
  assert.throws(() => reduced('topk:2:1', [[['a']]]), /a row has no number as its field 1/);
  assert.throws(() => reduced('topk:2:1', [5n]), /it is no array of rows/);
  assert.deepEqual(reduced('topk:2', [['a', '1'], 'x'], { resp: 2, partial: true }), ['a', '1']);
});

test('the highest of many are the highest of all, whichever came first', () => {
  const reply = fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 20 });
  fc.assert(
    fc.property(
      fc.array(reply, { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 9 }),
      (lists, n) => {
        const replies = lists.map((scores, i) => scores.map((score, j) => [`${i}:${j}`, BigInt(score)]));
        const sorted = replies.flat().toSorted((a, b) => Number(b[1]) - Number(a[1]));
        const expected = sorted.slice(0, n).map(([member, score]) => [member, Number(score)]);
        const arrival = [...lists.keys()].reverse();
        assert.deepEqual(reduced(`topk:${n}:1`, replies, { arrival }), expected);
        const flat = replies.map((rows) => rows.flat().map(String));
        assert.deepEqual(reducedBytes(`topk:${n}`, flat, { arrival }), reducedBytes(`topk:${n}`, flat));
        assert.deepEqual(reduced(`topk:${n}`, flat, { arrival }), expected.flat().map(String));
      },
    ),
  );
});

test('what is held does not grow with what was seen', () => {
  const replies = Array.from({ length: 300 }, (_, i) =>
    Array.from({ length: 100 }, (_, j) => [`member ${i} ${j}`, BigInt((i * j) % 977)]),
  );
  const found = reduced('topk:10:1', replies, { maxBytes: 20_000 });
  assert.equal((found as unknown[]).length, 10);
});
