import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isVoid } from '../../src/resp/void.ts';

const says = (text: string) => {
  const bytes = Buffer.from(`..${text}..`);
  return isVoid(bytes, 2, bytes.length - 2);
};

const NOTHING = [
  '$-1\r\n',
  '_\r\n',
  '*-1\r\n',
  '*0\r\n',
  '%0\r\n',
  '~0\r\n',
  '$0\r\n\r\n',
  ':0\r\n',
  ':-1\r\n',
  ':-2\r\n',
  '#f\r\n',
  '+none\r\n',
  '*2\r\n$-1\r\n$-1\r\n',
  '*2\r\n_\r\n:0\r\n',
  '*2\r\n*-1\r\n*1\r\n$0\r\n\r\n',
];

const SOMETHING = [
  '$1\r\n0\r\n',
  '$2\r\n\r\n\r\n',
  ':1\r\n',
  ':10\r\n',
  '+string\r\n',
  '+OK\r\n',
  '+nonesuch\r\n',
  '#t\r\n',
  ',0\r\n',
  '*2\r\n$-1\r\n$1\r\na\r\n',
  '*1\r\n:5\r\n',
  '%1\r\n$1\r\na\r\n_\r\n',
  '=7\r\ntxt:abc\r\n',
];

test('a reply without data is void', () => {
  for (const reply of NOTHING) assert.equal(says(reply), true, JSON.stringify(reply));
});

test('a reply that holds data is not', () => {
  for (const reply of SOMETHING) assert.equal(says(reply), false, JSON.stringify(reply));
});

test('of a reply that has not come to its end the beginning counts', () => {
  for (const reply of NOTHING)
    for (let end = 1; end < reply.length; end++)
      assert.equal(says(reply.slice(0, end)), true, JSON.stringify(reply.slice(0, end)));
  assert.equal(says('*3\r\n$-1\r\n$5\r\nhe'), false);
});
