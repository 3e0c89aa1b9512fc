import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { equalsIgnoreCase, toInteger, toText } from '../../src/command/arguments.ts';
import { framed } from './framed.ts';

const integer = (text: string) => toInteger(framed('x', text), 1);

test('an argument equals a text but for the case of ASCII letters', () => {
  assert.ok(equalsIgnoreCase(framed('x', 'StOrE'), 1, 'store'));
  assert.ok(equalsIgnoreCase(framed('x', ''), 1, ''));
  assert.ok(!equalsIgnoreCase(framed('x', 'STOR'), 1, 'store'));
  assert.ok(!equalsIgnoreCase(framed('x', 'a\x7f'), 1, 'a_'), 'an underscore is no letter');
  assert.ok(!equalsIgnoreCase(framed('x', '['), 1, '{'));
});

test('an argument is read as UTF-8', () => {
  assert.equal(toText(framed('GET', 'schlüssel'), 1), 'schlüssel');
});

test('an integer is what the server takes for one', () => {
  assert.equal(integer('0'), 0);
  assert.equal(integer('-12'), -12);
  assert.equal(integer('9007199254740991'), Number.MAX_SAFE_INTEGER);
  assert.equal(integer('9223372036854775807'), 2 ** 63);
  assert.equal(integer('-9223372036854775808'), -(2 ** 63));
  const others = ['', '-', '+1', ' 1', '1 ', '01', '-0', '-01', '1.0', '1e3', '0x1', 'a', '1a'];
  for (const text of others) assert.equal(integer(text), undefined, text);
});

test('an integer beyond 64 bits is none', () => {
  for (const text of ['9223372036854775808', '-9223372036854775809', '99999999999999999999']) {
    assert.equal(integer(text), undefined, text);
  }
});

test('every integer of 64 bits is read, rounded as a double', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
      const read = integer(String(value));
      assert.equal(read, Number(value));
    }),
  );
});
