import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { reducerOf } from '../../src/functions/reducers.ts';
import { reduced, reducedBytes } from './reduced.ts';

const error = new Error('ERR no');

test('first is the first in order that is no error, and any the first to arrive', () => {
  assert.equal(reduced('first', [error, 'b', 'c'], { arrival: [2, 1, 0] }), 'b');
  assert.equal(reduced('first', ['a', 'b', 'c'], { arrival: [2, 1, 0], order: 'arrival' }), 'c');
  assert.equal(reduced('any', ['a', 'b', error], { arrival: [2, 1, 0] }), 'b');
  assert.equal(reduced('first', [null, 'b']), null);
});

test('first and any are errors when all parts are, or when no part may be', () => {
  for (const name of ['first', 'any']) {
    assert.throws(() => reduced(name, [error, error]), /part node n0 and 1 more of 2 failed: ERR no/);
    assert.throws(() => reduced(name, [error, 'b'], { partial: false }), /part node n0 failed: ERR no/);
  }
});

test('concat joins arrays, and takes what is none as an element', () => {
  assert.deepEqual(reduced('concat', [['a', ['b']], 'c', null, 5n, new Set(['d'])]), [
    'a',
    ['b'],
    'c',
    null,
    5,
    'd',
  ]);
  assert.deepEqual(reduced('concat', [['a'], ['b'], ['c']], { arrival: [2, 0, 1] }), ['a', 'b', 'c']);
  assert.deepEqual(reduced('concat', [['a'], ['b'], ['c']], { arrival: [2, 0, 1], order: 'arrival' }), [
    'c',
    'a',
    'b',
  ]);
});

test('flatten takes all levels', () => {
  assert.deepEqual(reduced('flatten', [['a', ['b', ['c', []]]], 'd', new Map([['e', ['f']]])]), [
    ...'abcdef',
  ]);
});

test('merge adds numbers under the same field, and else the last wins', () => {
  const maps = [
    new Map<string, string | bigint>([
      ['a', 1n],
      ['b', 'x'],
      ['c', '2'],
    ]),
    new Map<string, string | bigint>([
      ['a', 2n],
      ['b', 'y'],
      ['c', '3'],
    ]),
    new Map<string, string | bigint>([
      ['d', 'z'],
      ['c', '0.5'],
    ]),
  ];
  const expected = { a: 3, b: 'y', c: '5.5', d: 'z' };
  for (const arrival of [
    [0, 1, 2],
    [2, 1, 0],
  ]) {
    assert.deepEqual(
      Object.fromEntries(reduced('merge', maps, { arrival }) as Map<string, string>),
      expected,
    );
    assert.deepEqual(reduced('merge', maps, { resp: 2, arrival }), Object.entries(expected).flat());
  }
  assert.deepEqual(reduced('merge', [[['a', 1.5]], [['a', 2n]], null]), new Map([['a', 3.5]]));
  assert.throws(() => reduced('merge', ['x']), /neither a map nor an array of pairs/);
});

test('none shows each node and its reply, an error in its place', () => {
  assert.deepEqual(reduced('none', [1n, error, ['x']], { arrival: [2, 1, 0] }), [
    ['n0', 1],
    ['n1', error],
    ['n2', ['x']],
  ]);
  assert.throws(() => reduced('none', [1n, error], { partial: false }), /part node n1 failed: ERR no/);
});

test('a part that failed makes the whole an error that names it, unless parts will do', () => {
  const wrong = new Error('WRONGTYPE no list');
  assert.throws(() => reduced('sum', [1n, wrong, error]), {
    message: /^ERR slotless: part node n1 and 1 more of 3 failed: WRONGTYPE no list$/,
  });
  assert.throws(() => reduced('sum', [1n, wrong]), {
    message: /^WRONGTYPE slotless: part node n1 failed: WRONGTYPE no list$/,
  });
  assert.throws(() => reduced('sum', [new Error('MOVED 1 h:1'), 1n]), {
    message: /^ERR slotless: part node n0 failed: MOVED 1 h:1$/,
  });
  assert.equal(reduced('sum', [1n, wrong, 5n], { partial: true }), 6);
  assert.throws(() => reduced('sum', [wrong, wrong], { partial: true }), /^WRONGTYPE|part node n0/);
});

test('what is gathered has a bound, which names its setting', () => {
  const replies = Array.from({ length: 10 }, (_, i) => `${i}`.repeat(100));
  assert.throws(() => reduced('concat', replies, { maxBytes: 500 }), /functions\.maxReplyBytes/);
  assert.throws(
    () => reduced('none', replies, { maxBytes: 500, arrival: [9, 8, 7, 6, 5, 4, 3, 2, 1, 0] }),
    /maxReplyBytes/,
  );
  assert.throws(() => reduced('union', replies, { maxBytes: 500 }), /maxReplyBytes/);
  assert.equal(reduced('count', replies, { maxBytes: 500 }), 10);
});

test('what needs the order is the same whichever reply came first', () => {
  const value = fc.oneof(fc.string({ maxLength: 3 }), fc.bigInt({ min: -9n, max: 9n }), fc.constant(null));
  const replies = fc.array(fc.oneof(value, fc.array(value, { maxLength: 4 })), {
    minLength: 1,
    maxLength: 7,
  });
  fc.assert(
    fc.property(replies, (list) => {
      const arrival = [...list.keys()].reverse();
      for (const name of ['concat', 'flatten', 'none', 'first', 'and', 'or'])
        assert.deepEqual(reducedBytes(name, list, { arrival }), reducedBytes(name, list), name);
    }),
  );
});

test('a name says which reducer, and what is wrong with it', () => {
  assert.deepEqual(reducerOf('js:lib.name:a::b c'), { library: 'lib', name: 'name', args: ['a', '', 'b c'] });
  assert.deepEqual(reducerOf('js:lib.name'), { library: 'lib', name: 'name', args: [] });
  assert.throws(() => reducerOf('total'), /^Error: unknown reducer 'total', there are: sum min/);
  assert.throws(() => reducerOf('constructor'), /unknown reducer 'constructor'/);
  for (const bad of [
    'topk',
    'topk:',
    'topk:0',
    'topk:-1',
    'topk:x',
    'topk:1:',
    'topk:1:x',
    'topk:1:2:3',
    'topk:99999999999',
  ])
    assert.throws(() => reducerOf(bad), /invalid reducer 'topk.*topk:<n> or topk:<n>:<field>/, bad);
  for (const bad of ['js:', 'js:lib', 'js:lib.', 'js:.name'])
    assert.throws(() => reducerOf(bad), /invalid reducer 'js:.*js:<library>\.<name>/, bad);
});
