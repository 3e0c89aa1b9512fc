/** Splitting of inline commands: Redis's rules for blanks, quotes and escapes. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitInline } from '../../src/resp/inline.ts';

function split(line: string): string[] | undefined {
  // What stands around the line must not be looked at: it would end an escape.
  const bytes = Buffer.from(`f${line}f`, 'latin1');
  const out = Buffer.alloc(line.length);
  const words: [number, number][] = [];
  const balanced = splitInline(bytes, 1, bytes.length - 1, out, {
    add: (start, end) => {
      words.push([start, end]);
    },
  });
  return balanced ? words.map(([start, end]) => out.toString('latin1', start, end)) : undefined;
}

test('words are parted by any blanks', () => {
  assert.deepEqual(split(''), []);
  assert.deepEqual(split(' \t\v\f\r '), []);
  assert.deepEqual(split(' \tSET  k\tv '), ['SET', 'k', 'v']);
  assert.deepEqual(split('a\rb'), ['a', 'b']);
});

test('a vertical tab or a form feed inside a word belongs to it', () => {
  assert.deepEqual(split('a\vb \vc\f'), ['a\vb', 'c\f']);
});

test('double quotes keep blanks and know escapes', () => {
  assert.deepEqual(split('"a b"'), ['a b']);
  assert.deepEqual(split('"\\n\\r\\t\\b\\a\\\\\\"\\q"'), ['\n\r\t\b\x07\\"q']);
  assert.deepEqual(split('"\\x00\\xfF\\x4"'), ['\0\xffx4']);
  assert.deepEqual(split('"\\x4g"'), ['x4g']);
});

test('single quotes know only the escaped quote', () => {
  assert.deepEqual(split("'a\\'b\\n\\q'"), ["a'b\\n\\q"]);
});

test('an empty pair of quotes is an empty word', () => {
  assert.deepEqual(split('"" \'\' x'), ['', '', 'x']);
});

test('a quote may open inside a word', () => {
  assert.deepEqual(split('a"b c"'), ['ab c']);
  assert.deepEqual(split("a'b c' d"), ['ab c', 'd']);
});

test('backslashes outside of quotes are plain', () => {
  assert.deepEqual(split('a\\nb \\"c d"'), ['a\\nb', '\\c d']);
});

test('unbalanced quotes are refused', () => {
  for (const line of [
    '"',
    "'",
    'a "b',
    '"a\\"',
    "'a\\'",
    '"a"b',
    "'a'b",
    '"a""b"',
    '"a\\',
    '"\\x4',
    '"\\x',
  ]) {
    assert.equal(split(line), undefined, line);
  }
});
