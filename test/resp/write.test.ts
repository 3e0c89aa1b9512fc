/** What the proxy says itself: exact bytes, read back by redis-parser where that can. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import Parser from 'redis-parser';
import { skip } from '../../src/resp/reply.ts';
import * as write from '../../src/resp/write.ts';

function says(reply: Buffer, expected: string): void {
  assert.equal(reply.toString('latin1'), expected);
  assert.equal(skip(reply, 0, reply.length), reply.length);
}

test('scalars', () => {
  says(write.OK, '+OK\r\n');
  says(write.simple('a b'), '+a b\r\n');
  says(write.error('ERR no'), '-ERR no\r\n');
  says(write.integer(-5), ':-5\r\n');
  says(write.integer(2n ** 62n), ':4611686018427387904\r\n');
  says(write.bulk(Buffer.from([0, 13, 10, 255])), '$4\r\n\0\r\n\xff\r\n');
  says(write.bulkString('é'), '$2\r\n\xc3\xa9\r\n');
});

test('no text can end its line early', () => {
  says(write.error('ERR a\r\n+OK\nb'), '-ERR a  +OK b\r\n');
  says(write.simple('\r\n'), '+  \r\n');
  // U+010D and U+010A are CR and LF in their low bytes.
  says(write.error('ERR \u010d\u010a+OK'), '-ERR   +OK\r\n');
});

test('each version has its own forms', () => {
  says(write.nil(2), '$-1\r\n');
  says(write.nil(3), '_\r\n');
  says(write.nilArray(2), '*-1\r\n');
  says(write.nilArray(3), '_\r\n');
  says(write.bool(2, true), ':1\r\n');
  says(write.bool(3, true), '#t\r\n');
  says(write.bool(3, false), '#f\r\n');
  says(write.double(2, 1.5), '$3\r\n1.5\r\n');
  says(write.double(3, 1.5), ',1.5\r\n');
  says(write.double(3, Number.NEGATIVE_INFINITY), ',-inf\r\n');
  says(write.double(3, Number.NaN), ',nan\r\n');
  says(write.double(3, -0), ',-0\r\n');
  says(write.verbatim(2, 'é'), '$2\r\n\xc3\xa9\r\n');
  says(write.verbatim(3, 'é'), '=6\r\ntxt:\xc3\xa9\r\n');
  const pairs = [[write.simple('a'), write.integer(1)]] as const;
  says(write.map(2, pairs), '*2\r\n+a\r\n:1\r\n');
  says(write.map(3, pairs), '%1\r\n+a\r\n:1\r\n');
  says(write.set(2, [write.ONE]), '*1\r\n:1\r\n');
  says(write.set(3, [write.ONE]), '~1\r\n:1\r\n');
  says(write.push(2, [write.ONE]), '*1\r\n:1\r\n');
  says(write.push(3, [write.ONE]), '>1\r\n:1\r\n');
  says(write.array([]), '*0\r\n');
});

test('a plain tree is written whole', () => {
  const tree = new Map<write.Value, write.Value>([
    ['a', [1, null, 'x', true, 2.5, 10n]],
    ['b', new Set(['y'])],
    [Buffer.from('c'), new Map()],
  ]);
  says(
    write.encode(3, tree),
    '%3\r\n$1\r\na\r\n*6\r\n:1\r\n_\r\n$1\r\nx\r\n#t\r\n,2.5\r\n:10\r\n$1\r\nb\r\n~1\r\n$1\r\ny\r\n$1\r\nc\r\n%0\r\n',
  );
  says(
    write.encode(2, tree),
    '*6\r\n$1\r\na\r\n*6\r\n:1\r\n$-1\r\n$1\r\nx\r\n:1\r\n$3\r\n2.5\r\n:10\r\n$1\r\nb\r\n*1\r\n$1\r\ny\r\n$1\r\nc\r\n*0\r\n',
  );
});

test('a command is an array of bulks', () => {
  says(write.command(['SET', 'ké', 12]), '*3\r\n$3\r\nSET\r\n$3\r\nk\xc3\xa9\r\n$2\r\n12\r\n');
  for (const length of [0, 9, 10, 99, 100, 104, 999, 1000, 1009, 9999, 10000, 100000]) {
    says(write.command(['x'.repeat(length)]), `*1\r\n$${length}\r\n${'x'.repeat(length)}\r\n`);
    if (length > 0)
      says(write.command(Array(length).fill('')), `*${length}\r\n${'$0\r\n\r\n'.repeat(length)}`);
  }
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 1200 }), { minLength: 1, maxLength: 120 }), (args) => {
      let reply: unknown;
      const parser = new Parser({
        returnReply: (value: unknown) => {
          reply = value;
        },
        returnError: (error: Error) => {
          throw error;
        },
        returnBuffers: true,
      });
      parser.execute(write.command(args));
      assert.deepEqual(
        reply,
        args.map((arg) => Buffer.from(arg)),
      );
    }),
  );
});
