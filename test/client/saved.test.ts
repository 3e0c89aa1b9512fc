import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseReply, savedArguments } from '../../src/client/saved.ts';
import { Frame, frame } from '../../src/resp/request.ts';
import { encode } from '../support/client.ts';

const LIMITS = { arguments: 1000, bulk: 1_000_000, inline: 1000 };

/** A framed command that does not begin at offset 0. */
function framed(bytes: Buffer): { f: Frame; input: Buffer } {
  const before = Buffer.from('*1\r\n$4\r\nPING\r\n');
  const input = Buffer.concat([before, bytes, before]);
  const f = new Frame();
  f.reset(before.length);
  frame(f, input, input.length, LIMITS, true);
  return { f, input };
}

test('arguments are kept when the bytes they came in are gone', () => {
  const words = fc.array(
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    { minLength: 1, maxLength: 100 },
  );
  fc.assert(
    fc.property(words, (list) => {
      const { f, input } = framed(encode(list));
      const args = savedArguments(f);
      input.fill('!');
      f.reset(0);
      assert.equal(args.argc, list.length);
      list.forEach((word, i) => {
        assert.ok(args.word(i).equals(word));
        assert.equal(args.text(i), word.toString('latin1'));
      });
      assert.ok(args.request.equals(encode(list)));
    }),
    { numRuns: 200 },
  );
});

test('an inline command is kept as RESP', () => {
  const args = savedArguments(framed(Buffer.from('SET  "a b" 1\r\n')).f);
  assert.equal(args.request.toString(), encode(['SET', 'a b', '1']).toString());
  assert.deepEqual([args.text(0), args.text(1), args.text(2)], ['SET', 'a b', '1']);
});

test('a reply is read as values', () => {
  const read = (text: string) => parseReply(Buffer.from(text));
  assert.deepEqual(read('*3\r\n$1\r\na\r\n:7\r\n*1\r\n$-1\r\n'), [Buffer.from('a'), 7, [null]]);
  assert.deepEqual(String(read('+OK\r\n')), 'OK');
  const error = read('-WRONGTYPE no\r\n');
  assert.ok(error instanceof Error);
  assert.equal(error.message, 'WRONGTYPE no');
});

test('what is no reply is an error and no crash', () => {
  for (const text of ['!\r\n', '*99999999999\r\n', '*1\r\n'.repeat(200_000)])
    assert.ok(parseReply(Buffer.from(text)) instanceof Error || parseReply(Buffer.from(text)) === undefined);
});
