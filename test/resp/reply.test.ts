/**
 * The framer of replies, with redis-parser as the judge of RESP2, and a model that writes random trees of every
 * RESP3 type. `skip` must say the same.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import Parser from 'redis-parser';
import { ReplyFramer, skip } from '../../src/resp/reply.ts';
import { byteByByte, type Cuts, randomCuts, tokens, whole } from './cuts.ts';

interface Measured {
  /** End of each reply. */
  ends: number[];
  /** Type byte of each. */
  types: string;
  /** What was said last: -1 in the middle or at the end of all, -2 when the bytes are no RESP. */
  last: number;
}

function measure(input: Buffer, cuts: Cuts, maxDepth = 64): Measured {
  const framer = new ReplyFramer(maxDepth);
  const ends: number[] = [];
  let types = '';
  let at = 0;
  for (const cut of cuts(input.length)) {
    // A chunk of its own, so that nothing of an earlier one can be looked at.
    const chunk = input.subarray(at, cut);
    let p = 0;
    for (;;) {
      const end = framer.measure(chunk, p, chunk.length);
      if (end === -2) return { ends, types, last: -2 };
      if (end === -1) break;
      assert.ok(end > p && end <= chunk.length);
      assert.equal(framer.bulkLeft, 0);
      types += String.fromCharCode(framer.type);
      ends.push(at + end);
      p = end;
    }
    at = cut;
  }
  return { ends, types, last: -1 };
}

function check(input: string, types: string, last = -1, maxDepth = 64): void {
  const buffer = Buffer.from(input, 'latin1');
  for (const cuts of [whole, byteByByte]) {
    const measured = measure(buffer, cuts, maxDepth);
    assert.deepEqual([measured.types, measured.last], [types, last], JSON.stringify(input));
    if (last === -1 && types !== '') assert.equal(measured.ends.length, types.length);
  }
}

test('each type is one reply', () => {
  check('+OK\r\n+QUEUED\r\n-ERR x y\r\n:12\r\n:-1\r\n', '++-::');
  check('$5\r\nhello\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n', '$$$**');
  check('_\r\n#t\r\n#f\r\n,1.5\r\n,inf\r\n(123456789012345678901234567890\r\n', '_##,,(');
  check('!5\r\nERR a\r\n=7\r\ntxt:abc\r\n%1\r\n+a\r\n:1\r\n~2\r\n:1\r\n:2\r\n>2\r\n+a\r\n+b\r\n', '!=%~>');
  check('*2\r\n*2\r\n$1\r\na\r\n*0\r\n%1\r\n$1\r\nb\r\n~1\r\n_\r\n+OK\r\n', '*+');
});

test('line breaks inside a bulk are content', () => {
  check('$7\r\n\r\n+OK\r\n\r\n$2\r\n\r\n\r\n', '$$');
});

test('an attribute belongs to the reply behind it', () => {
  check('|1\r\n+ttl\r\n:3600\r\n$1\r\na\r\n+OK\r\n', '$+');
  check('|0\r\n-ERR\r\n', '-');
  check('*2\r\n|1\r\n+k\r\n*1\r\n:1\r\n:1\r\n:2\r\n:3\r\n', '*:');
  check('|1\r\n+a\r\n+b\r\n', '');
  check('*1\r\n:1\r\n|1\r\n+a\r\n+b\r\n', '*');
});

test('a push stands at the top alone', () => {
  check('>3\r\n+message\r\n+c\r\n+m\r\n$1\r\na\r\n', '>$');
  check('*1\r\n>1\r\n+a\r\n', '', -2);
});

test('what is not RESP is refused', () => {
  const wrong = [
    'x\r\n',
    '\r\n',
    'OK\r\n',
    '$x\r\n',
    '$\r\n',
    '$-\r\n',
    '$-2\r\n',
    '$-11\r\n',
    '$01\r\na\r\n',
    '$+1\r\n',
  ];
  const more = [
    '*x\r\n',
    '*-2\r\n',
    '~-1\r\n',
    '%-1\r\n',
    '=-1\r\n',
    '!-1\r\n',
    '>-1\r\n',
    '|-1\r\n',
    '*00\r\n',
    '*1 \r\n',
  ];
  const ends = [
    '$1\r\nabc\r\n',
    '$1\r\na\rb',
    '$1\r\nab\n',
    '+a\rb\r\n',
    '$1\rxa\r\n',
    ':1\r\r\n',
    '*1\rx',
    '$-1\rx',
  ];
  const streamed = ['$?\r\n', '*?\r\n', '%?\r\n', ';1\r\n', '.\r\n'];
  for (const each of [...wrong, ...more, ...ends, ...streamed, `$${'1'.repeat(16)}\r\n`]) {
    check(`${each}+OK\r\n`, '', -2);
    check(`+OK\r\n*2\r\n:1\r\n${each}+OK\r\n`, '+', -2);
  }
});

test('nesting is bounded', () => {
  check(`${'*1\r\n'.repeat(8)}:1\r\n`, '*', -1, 8);
  check(`${'*1\r\n'.repeat(9)}:1\r\n`, '', -2, 8);
  check(`${'*1\r\n'.repeat(8)}*0\r\n+OK\r\n`, '*+', -1, 8);
  check('|1\r\n'.repeat(9), '', -2, 8);
});

test('a line is bounded: 1 MiB for a string or an error, 64 KiB for all else', () => {
  const cases = [
    ['+', 1048576],
    ['-', 1048576],
    [':', 65536],
    ['(', 65536],
  ] as const;
  const halves: Cuts = (length) => [length >> 1, length - 1, length];
  for (const [type, limit] of cases) {
    for (const cuts of [whole, halves]) {
      const fits = Buffer.from(`${type}${'1'.repeat(limit)}\r\n`);
      assert.deepEqual(measure(fits, cuts).ends, [fits.length]);
      assert.equal(measure(Buffer.from(`${type}${'1'.repeat(limit + 1)}\r\n`), cuts).last, -2);
      assert.equal(measure(Buffer.from(`${type}${'1'.repeat(limit + 1)}`), cuts).last, -2);
    }
  }
});

test('what is left of a bulk is told', () => {
  const framer = new ReplyFramer(8);
  const piece = Buffer.from('*2\r\n:1\r\n$10\r\nabc');
  assert.equal(framer.measure(piece, 0, piece.length), -1);
  assert.deepEqual([framer.bulkLeft, framer.type], [9, 42]);
  assert.equal(framer.measure(Buffer.from('defghij\r'), 0, 8), -1);
  assert.equal(framer.bulkLeft, 1);
  assert.equal(framer.measure(Buffer.from('\n+OK\r\n'), 0, 6), 1);
  assert.equal(framer.bulkLeft, 0);
});

test('after a reset a reply begins anew', () => {
  const framer = new ReplyFramer(8);
  const piece = Buffer.from('*2\r\n$10\r\nabc');
  assert.equal(framer.measure(piece, 0, piece.length), -1);
  framer.reset();
  assert.deepEqual([framer.bulkLeft, framer.type], [0, 0]);
  assert.equal(framer.measure(Buffer.from('+OK\r\n'), 0, 5), 5);
});

test('an array of a million elements is one reply', () => {
  const input = Buffer.from(`*1000000\r\n${'$1\r\na\r\n'.repeat(1000000)}`);
  assert.deepEqual(measure(input, whole).ends, [input.length]);
  assert.equal(skip(input, 0, input.length), input.length);
});

/** A random reply of any type, encoded, at most `depth` deep. */
function reply(depth: number, resp: 2 | 3): fc.Arbitrary<string> {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '1', '$', '*', '\xff'), maxLength: 12 });
  const content = fc.string({ unit: fc.constantFrom('a', '\r', '\n', '\0', '$', '*', '1'), maxLength: 30 });
  const bulk = content.map((value) => `$${value.length}\r\n${value}\r\n`);
  const scalars = [
    text.map((value) => `+${value}\r\n`),
    text.map((value) => `-ERR ${value}\r\n`),
    fc.integer().map((value) => `:${value}\r\n`),
    bulk,
    fc.constantFrom('$-1\r\n', '*-1\r\n', '*0\r\n', '+OK\r\n'),
  ];
  if (resp === 3) {
    scalars.push(
      fc.constantFrom(
        '_\r\n',
        '#t\r\n',
        '#f\r\n',
        ',inf\r\n',
        ',-1.5e10\r\n',
        '(99999999999999999999\r\n',
        '%0\r\n',
      ),
      bulk.map((value) => `!${value.slice(1)}`),
      bulk.map((value) => `=${value.slice(1)}`),
    );
  }
  if (depth === 0) return fc.oneof(...scalars);
  const inner = reply(depth - 1, resp);
  const list = fc.array(inner, { maxLength: 5 });
  const array = list.map((parts) => `*${parts.length}\r\n${parts.join('')}`);
  if (resp === 2) return fc.oneof(...scalars, array);
  const pairs = fc.array(fc.tuple(inner, inner), { maxLength: 3 });
  const map = pairs.map((each) => `%${each.length}\r\n${each.flat().join('')}`);
  return fc.oneof(
    ...scalars,
    array,
    list.map((parts) => `~${parts.length}\r\n${parts.join('')}`),
    map,
    fc.tuple(map, inner).map(([attribute, value]) => `|${attribute.slice(1)}${value}`),
  );
}

test('replies of every type end where they were written to end, however they are cut', () => {
  const push = fc
    .array(reply(1, 3), { maxLength: 4 })
    .map((parts) => `>${parts.length}\r\n${parts.join('')}`);
  const stream = fc.array(fc.oneof({ weight: 4, arbitrary: reply(3, 3) }, { weight: 1, arbitrary: push }), {
    maxLength: 6,
  });
  fc.assert(
    fc.property(stream, randomCuts, (replies, cuts) => {
      const input = Buffer.from(replies.join(''), 'latin1');
      let at = 0;
      const ends = replies.map((each) => {
        const start = at;
        at += each.length;
        assert.equal(skip(input, start, input.length), at);
        for (const end of [start, at - 1, (start + at) >> 1]) assert.equal(skip(input, start, end), -1);
        return at;
      });
      for (const each of [whole, byteByByte, cuts]) {
        const measured = measure(input, each);
        assert.deepEqual([measured.ends, measured.last], [ends, -1]);
      }
    }),
    { numRuns: 400 },
  );
});

test('redis-parser sees the same RESP2 replies', () => {
  fc.assert(
    fc.property(fc.array(reply(3, 2), { maxLength: 6 }), randomCuts, (replies, cuts) => {
      const input = Buffer.from(replies.join(''), 'latin1');
      const { ends } = measure(input, cuts);
      let seen = 0;
      const parser = new Parser({
        returnReply: () => seen++,
        returnError: () => seen++,
        returnBuffers: true,
      });
      let from = 0;
      for (const [i, end] of ends.entries()) {
        parser.execute(input.subarray(from, end - 1));
        assert.equal(seen, i);
        parser.execute(input.subarray(end - 1, end));
        assert.equal(seen, i + 1);
        from = end;
      }
      assert.equal(from, input.length);
    }),
    { numRuns: 300 },
  );
});

test('any bytes are measured the same however they are cut', () => {
  const input = tokens([
    ...[
      '*2\r\n',
      '*1\r\n',
      '*0\r\n',
      '*-1\r\n',
      '%1\r\n',
      '~1\r\n',
      '>1\r\n',
      '|1\r\n',
      '$-1\r\n',
      '$2\r\nab\r\n',
      '$1\r\n\r\r\n',
    ],
    ...[
      '+OK\r\n',
      ':1\r\n',
      '-E\r\n',
      '_\r\n',
      '\r\n',
      '\r',
      '\n',
      '$',
      '*',
      '1',
      '0',
      '-',
      '!3\r\nabc\r\n',
      '=0\r\n\r\n',
    ],
  ]);
  fc.assert(
    fc.property(input, randomCuts, (raw, cuts) => {
      const expected = measure(raw, whole, 3);
      assert.deepEqual(measure(raw, byteByByte, 3), expected);
      assert.deepEqual(measure(raw, cuts, 3), expected);
    }),
    { numRuns: 3000 },
  );
});
