import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { reduced, reducedBytes } from './reduced.ts';

test('a union has each element once, in the order of the replies', () => {
  assert.deepEqual(
    [...(reduced('union', [['b', 'a'], ['c', 'b'], 'd', null]) as Set<string>)],
    ['b', 'a', 'c', 'd'],
  );
  assert.deepEqual(
    reduced(
      'union',
      [
        ['b', 'a'],
        ['c', 'b'],
      ],
      { resp: 2 },
    ),
    ['b', 'a', 'c'],
  );
  assert.deepEqual(reduced('union', [[], null], { resp: 2 }), []);
});

test('an intersection has what all replies have', () => {
  const replies = [['a', 'b', 'c', 'a'], ['c', 'a'], new Set(['x', 'c', 'a'])];
  assert.deepEqual(reduced('inter', replies, { resp: 2 }), ['a', 'c']);
  assert.deepEqual(reduced('inter', [['a'], []], { resp: 2 }), []);
  assert.deepEqual(reduced('inter', [['a'], null], { resp: 2 }), []);
});

test('elements are the same when type and bytes are, whatever they are made of', () => {
  const replies = [
    [1n, '1', ['x', 1n], null, '\xff'],
    [['x', 1n], '1', null],
  ];
  assert.deepEqual(reduced('union', replies, { resp: 2 }), [1, '1', ['x', 1], null, '\xff']);
  assert.deepEqual(reduced('inter', replies, { resp: 2 }), ['1', ['x', 1], null]);
});

test('a group says how often each element came, most often first, equals in the order of the replies', () => {
  const replies = [['a', 'b'], ['b', 'c'], 'c', new Set(['b'])];
  const expected = [
    ['b', 3],
    ['c', 2],
    ['a', 1],
  ];
  assert.deepEqual([...(reduced('group', replies) as Map<string, number>)], expected);
  assert.deepEqual(reduced('group', replies, { resp: 2 }), expected.flat());
  assert.deepEqual(reduced('group', ['y', 'x', 'x', 'y'], { resp: 2, arrival: [2, 1, 3, 0] }), [
    'y',
    2,
    'x',
    2,
  ]);
});

test('what is no nil is counted, element by element', () => {
  assert.equal(reduced('count', [['a', null, ['b', 'c']], 'd', null, [], 5n]), 4);
  assert.equal(reduced('count', [new Map([['field', 'value']])], { resp: 2 }), 2);
  assert.equal(reduced('count', [new Map([['field', 'value']])], { resp: 3 }), 2);
});

test('the result does not depend on which reply came first', () => {
  const elements = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 6 });
  const replies = fc.array(elements, { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(replies, fc.infiniteStream(fc.nat()), (lists, random) => {
      const arrival = [...lists.keys()].sort(() => (random.next().value % 2 === 0 ? 1 : -1));
      for (const name of ['union', 'inter', 'group', 'count'])
        assert.deepEqual(reducedBytes(name, lists, { arrival }), reducedBytes(name, lists), name);
      const all = lists.flat();
      assert.deepEqual(reduced('union', lists, { resp: 2, arrival }), [...new Set(all)]);
      const common = [...new Set(all)].filter((each) => lists.every((list) => list.includes(each)));
      assert.deepEqual(new Set(reduced('inter', lists, { resp: 2, arrival }) as string[]), new Set(common));
      const counts = new Map(reduced('group', lists, { arrival }) as Map<string, number>);
      for (const each of new Set(all))
        assert.equal(counts.get(each), all.filter((other) => other === each).length);
    }),
  );
});
