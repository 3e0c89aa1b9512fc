/** The header line of a library: what it says, and in which order its errors are told. */

import assert from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkName, parseHeader } from '../../src/functions/header.ts';

test('a header names the engine, the library and the version of the API, in any order', () => {
  const header = { engine: 'js', name: 'lib', apiVersion: '1.0' };
  assert.deepEqual(parseHeader('#!js api_version=1.0 name=lib\nredis'), header);
  assert.deepEqual(parseHeader('#!js name=lib api_version=1.0'), header);
  assert.deepEqual(parseHeader('#!js  name=lib\tapi_version=1.0 \t \r\n'), header);
  assert.equal(parseHeader('#!js name=lib api_version=1.1\n').apiVersion, '1.1');
});

const wrong: readonly (readonly [string, RegExp])[] = [
  ['', /^Invalid or missing prologue\. /],
  ['redis.registerFunction()', /^Invalid or missing prologue\. /],
  ['\n#!js name=lib api_version=1.0', /^Invalid or missing prologue\. /],
  ['#! name=lib api_version=1.0', /^Invalid or missing prologue\. /],
  ['#!js name', /^Invalid or missing prologue\. /],
  ['#!js name=lib=2 api_version=1.0', /^Invalid or missing prologue\. /],
  ['#!js name=a name=b', /^Duplicated prologue properties found: name\.$/],
  ['#!js foo=a foo=b foo=c', /^Duplicated prologue properties found: foo\.$/],
  ['#!js foo=1', /^The api version is missing from the prologue\.$/],
  ['#!js name=lib', /^The api version is missing from the prologue\.$/],
  ['#!js api_version=1.0 foo=1', /^The library name is missing from the prologue\.$/],
  [
    '#!python api_version=7 name=. foo=1',
    /^Unknown prologue properties provided: "foo"\. .*Known properties: /,
  ],
  ['#!python api_version=one name=.', /^The API version has been incorrectly specified: one /],
  ['#!python api_version=2.0 name=.', /^An unsupported API version was requested: 2\.0/],
  ['#!python api_version=1.0 name=.', /^Unknown backend python/],
  ['#!js api_version=1.0 name=a.b', /^Unallowed library name 'a\.b', /],
  ['#!js api_version=1.0 name=', /^Unallowed library name '', /],
];

for (const [line, message] of wrong) {
  test(`the header ${JSON.stringify(line)} is told: ${message.source}`, () => {
    assert.throws(() => parseHeader(line), { message });
  });
}

test('names are of letters, digits and underscores', () => {
  checkName('function', 'Some_name1');
  assert.throws(() => checkName('cluster function', 'a b'), {
    message: /^Unallowed cluster function name 'a b', /,
  });
  assert.throws(() => checkName('function', 'a\n'), { message: /^Unallowed function name/ });
});

test('any text is a header or an Error', () => {
  const word = fc.constantFrom('#!js', 'name=lib', 'api_version=1.0', '=', ' ', '\n', 'foo=1', '#!');
  fc.assert(
    fc.property(fc.array(fc.oneof(word, fc.string())), (words) => {
      try {
        assert.equal(parseHeader(words.join(' ')).engine, 'js');
      } catch (error) {
        assert.equal((error as Error).constructor, Error);
      }
    }),
  );
});
