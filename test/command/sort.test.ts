/** Calls of SORT as they are read: what a server makes of them is in test/gather/sort.test.ts. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { slotOf } from '../../src/command/slot.ts';
import { allIn, named, ownOrder, parseSort, patternOf, type Sort, windowOf } from '../../src/command/sort.ts';

const words = (line: string) => line.split(' ').map((word) => Buffer.from(word));

const read = (line: string): Sort => {
  const found = parseSort(words(line));
  if (Buffer.isBuffer(found)) assert.fail(`${line}: ${found}`);
  return found;
};

const refused = (line: string, readsAll = true): string => {
  const found = parseSort(words(line), readsAll);
  return Buffer.isBuffer(found) ? String(found).trim() : assert.fail(`${line}: was read`);
};

/** The key that a pattern names for the element 7, with its field. */
const forSeven = (pattern: string): string => {
  const found = named(patternOf(Buffer.from(pattern)), Buffer.from('7'));
  return found === undefined ? 'none' : `${found.key}${found.field === undefined ? '' : ` ${found.field}`}`;
};

test('a pattern names a key, or a field of a hash, for each element', () => {
  const expected = {
    '*': '7',
    'w_*': 'w_7',
    'w_*_x': 'w_7_x',
    'w_*_*': 'w_7_*',
    'h_*->f': 'h_7 f',
    'h_*x->f->g': 'h_7x f->g',
    'h_*->': 'h_7->',
    'h->f_*': 'h->f_7',
    'h->f_*->g': 'h->f_7 g',
    'h_*->*': 'h_7 *',
    '#*': '#7',
    '#': 'none',
    '#\0*': 'none',
    w_: 'none',
    '': 'none',
    'w_\0*': 'none',
    'w_*\0->f': 'w_7\0->f',
    'w_*->\0f': 'w_7->\0f',
    'w_*->f\0': 'w_7 f\0',
  };
  for (const [pattern, name] of Object.entries(expected)) assert.equal(forSeven(pattern), name, pattern);
  assert.equal(patternOf(Buffer.from('#')).names, 'element');
  assert.equal(patternOf(Buffer.from('#\0x')).names, 'element');
  assert.equal(patternOf(Buffer.from('#x')).names, 'nothing');
});

test('of options given twice the last counts, but a BY without a star always', () => {
  const sort = read('sort k desc ASC alpha LIMIT 1 2 limit 3 4 STORE d GET a* get # store e BY v_* BY w_*');
  assert.deepEqual(
    [sort.desc, sort.alpha, String(sort.limit), String(sort.store), String(sort.by?.text), sort.unsorted],
    [false, true, '3,4', 'e', 'w_*', false],
  );
  assert.deepEqual(
    sort.gets.map(({ text }) => String(text)),
    ['a*', '#'],
  );
  for (const line of ['SORT k BY w_* BY no', 'SORT k BY no BY w_*']) {
    const { by, unsorted, patterns } = read(line);
    assert.deepEqual([by, unsorted, patterns.length], [undefined, true, 1], line);
  }
  assert.deepEqual(ownOrder(read('SORT k BY no DESC ALPHA LIMIT 1 2')).map(String), [
    ...['BY', 'nosort', 'DESC', 'ALPHA', 'LIMIT', '1', '2'],
  ]);
  assert.deepEqual(ownOrder(read('SORT k GET #')), []);
});

test('the first fault is told', () => {
  const syntax = '-ERR syntax error';
  const integer = '-ERR value is not an integer or out of range';
  for (const line of ['SORT k x', 'SORT k BY', 'SORT k GET # GET', 'SORT k LIMIT 1', 'SORT_RO k STORE d'])
    assert.equal(refused(line), syntax, line);
  for (const line of ['SORT k LIMIT x 1 NOPE', 'SORT k LIMIT 1 1.5', 'SORT k LIMIT 9223372036854775808 1'])
    assert.equal(refused(line), integer, line);
  assert.equal(refused('SORT k NOPE LIMIT x 1'), syntax);
});

test('patterns are for who may read every key', () => {
  const denied = (option: string) =>
    `-ERR ${option} option of SORT denied due to insufficient ACL permissions.`;
  assert.equal(refused('SORT k GET # BY w_*', false), denied('GET'));
  assert.equal(refused('SORT k BY no GET w NOPE', false), denied('GET'));
  assert.equal(refused('SORT k BY w_* GET #', false), denied('BY'));
  assert.equal(refused('SORT k NOPE BY w_*', false), '-ERR syntax error');
  assert.equal(Buffer.isBuffer(parseSort(words('SORT k BY no DESC STORE d'), false)), false);
});

test('LIMIT leaves what there is', () => {
  const part = (limit: string) => windowOf(read(`SORT k ${limit}`), 5).join();
  assert.equal(part('ASC'), '0,5');
  assert.equal(part('LIMIT 1 2'), '1,3');
  assert.equal(part('LIMIT -3 2'), '0,2');
  assert.equal(part('LIMIT 3 9'), '3,5');
  assert.equal(part('LIMIT 3 -1'), '3,5');
  assert.equal(part('LIMIT 3 0'), '3,3');
  assert.equal(part('LIMIT 9 -1'), '5,5');
  assert.equal(part('LIMIT 9223372036854775807 9223372036854775807'), '5,5');
});

test('patterns whose hash tag is in front of the star stay in its slot', () => {
  const slot = slotOf(Buffer.from('t'), 0, 1);
  const inside = (line: string) => allIn(slot, read(line));
  for (const line of ['GET {t}*', 'BY w{t}_*->f', 'GET # BY {t}*', 'GET {t}', 'GET {t}{u}*', 'DESC'])
    assert.equal(inside(`SORT {t}k ${line}`), true, line);
  for (const line of [
    'GET *{t}',
    'BY w_*',
    'GET {*}',
    'GET {}{t}*',
    'GET {u}*',
    'GET {t}* BY w_*',
    'GET t{*t}',
  ])
    assert.equal(inside(`SORT {t}k ${line}`), false, line);
});
