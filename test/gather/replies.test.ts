/** What the steps are answered with: read as it is meant, and never taken for what it is not. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isNil } from '../../src/command/blocking.ts';
import { Refusal } from '../../src/gather/reach.ts';
import { bulkOf, bulksOf, integerOf } from '../../src/gather/replies.ts';

const of = (text: string) => Buffer.from(text.replaceAll('|', '\r\n'), 'latin1');
const SENSELESS = (error: unknown) => error instanceof Refusal && /makes no sense/.test(error.message);

test('each is read in either version of the protocol', () => {
  assert.deepEqual(bulkOf(of('$2|ab|')), Buffer.from('ab'));
  for (const nil of ['$-1|', '*-1|', '_|']) {
    assert.equal(bulkOf(of(nil)), undefined);
    assert.equal(integerOf(of(nil)), undefined);
    assert.ok(isNil(of(nil)));
  }
  assert.equal(integerOf(of(':-7|')), -7);
  assert.deepEqual(bulksOf(of('*2|$1|a|_|')), [Buffer.from('a'), undefined]);
});

test('an error is thrown as it is, to be the reply', () => {
  const error = of('-WRONGTYPE Operation|');
  for (const read of [bulkOf, bulksOf, integerOf])
    assert.throws(
      () => read(error),
      (thrown) => thrown instanceof Refusal && thrown.reply === error,
    );
});

test('what no server answers is taken for nothing else', () => {
  for (const strange of [':1e5|', ':99999999999999999999|', '+OK|', '$2|ab|', '*0|', '', '%1|', '#t|'])
    assert.throws(() => integerOf(of(strange)), SENSELESS, strange);
  for (const strange of [':1|', '+OK|', '*1|$1|a|', '$5|a|', ''])
    assert.throws(() => bulkOf(of(strange)), SENSELESS, strange);
  for (const strange of ['$1|a|', '*1|:1|', ':1|', '*2|$1|a|'])
    assert.throws(() => bulksOf(of(strange)), SENSELESS, strange);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
      try {
        const found = integerOf(Buffer.from(bytes));
        assert.ok(found === undefined || Number.isSafeInteger(found));
      } catch (error) {
        assert.ok(error instanceof Refusal);
      }
    }),
  );
});
