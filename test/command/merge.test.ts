import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Command, RESPONSE } from '../../src/command/command.ts';
import { mergeFanOut, mergeSplit } from '../../src/command/merge.ts';
import { type Plan, split } from '../../src/command/split.ts';
import { CommandTable } from '../../src/command/table.ts';
import { decode } from '../support/client.ts';
import { framed } from './framed.ts';
import { SIX } from './six.ts';

const bytes = (...texts: string[]) =>
  texts.map((text) => Buffer.from(text.replaceAll('|', '\r\n'), 'latin1'));
const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`;

/** A call of the six, its parts answered by `answer`, and what comes of it. */
function through(words: string[], answer: (part: string[]) => string): string {
  const args = framed(...words);
  const command = SIX.find(args)!;
  const plan = split(command, args)!;
  const replies = partsOf(plan).map((part) => Buffer.from(answer(part), 'latin1'));
  return mergeSplit(plan, command, replies).toString('latin1');
}

function partsOf(plan: Plan): string[][] {
  return Array.from({ length: plan.count }, (_, p) => {
    return decode(plan.bytes.subarray(plan.from[p], plan.to[p])) as string[];
  });
}

function fanOut(response: keyof typeof RESPONSE, ...replies: string[]): string {
  const command = { response: RESPONSE[response] } as Command;
  const names = replies.map((_, i) => `10.0.0.${i + 1}:6379`);
  return mergeFanOut(command, bytes(...replies), names)
    .toString('latin1')
    .replaceAll('\r\n', '|');
}

test('MGET comes back in the order asked, doubles and nils and all', () => {
  const values: Record<string, string> = { '{a}1': bulk('x'), '{a}2': '$-1\r\n', b: '_\r\n' };
  const reply = through(['MGET', '{a}1', 'b', '{a}2', 'b', '{a}1'], ([, ...keys]) => {
    return `*${keys.length}\r\n${keys.map((key) => values[key]).join('')}`;
  });
  assert.equal(reply, '*5\r\n$1\r\nx\r\n_\r\n$-1\r\n_\r\n$1\r\nx\r\n');
});

test('what split cuts, merge joins to the reply of one server', () => {
  const key = fc.oneof(
    fc.constantFrom('{a}1', '{a}2', '{b}1', 'b'),
    fc.string({ maxLength: 6, unit: 'grapheme-ascii' }),
  );
  const keys = fc.array(key, { minLength: 1, maxLength: 60 });
  const store = new Map<string, string>();
  const server = ([name = '', ...args]: string[]): string => {
    if (name === 'MGET') {
      return `*${args.length}\r\n${args.map((key) => (store.has(key) ? bulk(store.get(key)!) : '$-1\r\n')).join('')}`;
    }
    if (name === 'MSET') {
      for (let i = 0; i < args.length; i += 2) store.set(args[i]!, args[i + 1]!);
      return '+OK\r\n';
    }
    if (name === 'DEL') return `:${args.filter((key) => store.delete(key)).length}\r\n`;
    return `:${args.filter((key) => store.has(key)).length}\r\n`;
  };
  fc.assert(
    fc.property(
      keys,
      fc.array(fc.tuple(key, fc.string({ unit: 'grapheme-ascii' })), { minLength: 1 }),
      (keys, pairs) => {
        for (const words of [
          ['MSET', ...pairs.flat()],
          ['MGET', ...keys],
          ['EXISTS', ...keys],
          ['DEL', ...keys],
        ]) {
          store.clear();
          for (const [key, value] of pairs) store.set(key, value);
          const before = new Map(store);
          const expected = server(words);
          const left = new Map(store);
          store.clear();
          for (const [key, value] of before) store.set(key, value);
          assert.equal(through(words, server), expected);
          assert.deepEqual(store, left);
        }
      },
    ),
  );
});

test('a failed part makes the reply an error that names its slot and keeps the server’s words', () => {
  const reply = through(['MGET', 'a', 'b'], ([, key]) =>
    key === 'a' ? '*1\r\n$1\r\n1\r\n' : '-OOM no room\r\n',
  );
  assert.equal(reply, '-OOM slotless: part slot 3300 failed: OOM no room\r\n');
});

test('the prefix is kept where all failed parts agree on it, and is never a redirection', () => {
  const reply = (texts: Record<string, string>) => through(['DEL', 'a', 'b', 'c'], ([, key]) => texts[key!]!);
  assert.match(
    reply({ a: ':1\r\n', b: '-NOPERM x\r\n', c: '-NOPERM y\r\n' }),
    /^-NOPERM .*slot 3300 and 1 more of 3/,
  );
  assert.match(reply({ a: ':1\r\n', b: '-NOPERM x\r\n', c: '-OOM y\r\n' }), /^-ERR .*NOPERM x/);
  assert.match(reply({ a: ':1\r\n', b: '-MOVED 1 h:1\r\n', c: ':0\r\n' }), /^-ERR .*MOVED 1 h:1/);
  assert.match(reply({ a: ':1\r\n', b: '-lower case\r\n', c: ':0\r\n' }), /^-ERR .*lower case/);
});

test('where all parts fail in the same words, these are the reply', () => {
  assert.equal(
    through(['DEL', 'a', 'b'], () => '-NOAUTH Authentication required.\r\n'),
    '-NOAUTH Authentication required.\r\n',
  );
});

test('parts that don’t add up are an error, never a short reply', () => {
  for (const bad of ['*0\r\n', '*2\r\n$1\r\nx\r\n$1\r\ny\r\n', ':1\r\n', '*-1\r\n', '+OK\r\n']) {
    assert.match(
      through(['MGET', 'a', 'b'], ([, key]) => (key === 'a' ? bad : '*1\r\n$1\r\nx\r\n')),
      /^-ERR slotless/,
    );
  }
  assert.match(
    through(['DEL', 'a', 'b'], ([, key]) => (key === 'a' ? ':1\r\n' : '+OK\r\n')),
    /^-ERR slotless/,
  );
});

test('without a policy, arrays and sets and maps are joined', () => {
  assert.equal(fanOut('none', '*2|$1|a|$1|b|', '*0|', '*1|*1|:1|'), '*3|$1|a|$1|b|*1|:1|');
  assert.equal(fanOut('none', '~1|+a|', '~1|+b|'), '~2|+a|+b|');
  assert.equal(fanOut('none', '%1|+a|:1|', '%1|+b|:2|'), '%2|+a|:1|+b|:2|');
  assert.equal(fanOut('none', '*1|+a|', '*1|+a|'), '*2|+a|+a|');
  assert.equal(fanOut('none', '*0|', '*0|'), '*0|');
  assert.equal(fanOut('none', '*-1|', '*1|+a|', '_|'), '*1|+a|');
});

test('without a policy, what is no array must be the same from all', () => {
  assert.equal(fanOut('none', '+OK|', '+OK|'), '+OK|');
  assert.equal(fanOut('none', '$-1|', '$-1|'), '$-1|');
  assert.match(fanOut('none', '+OK|', '+NO|'), /^-ERR slotless/);
  assert.match(fanOut('none', '*1|+a|', '~1|+a|'), /^-ERR slotless/);
});

test('integers are added, compared and combined, arrays place by place', () => {
  assert.equal(fanOut('aggSum', ':1|', ':2|', ':-4|'), ':-1|');
  assert.equal(fanOut('aggMin', ':3|', ':2|', ':7|'), ':2|');
  assert.equal(fanOut('aggMax', ':3|', ':2|', ':7|'), ':7|');
  assert.equal(fanOut('aggMin', '*2|:1|:9|', '*2|:4|:2|'), '*2|:1|:2|');
  assert.equal(fanOut('aggLogicalAnd', '*3|:1|:1|:0|', '*3|:1|:0|:0|'), '*3|:1|:0|:0|');
  assert.equal(fanOut('aggLogicalOr', '*3|:1|:1|:0|', '*3|:1|:0|:0|'), '*3|:1|:1|:0|');
  assert.equal(fanOut('aggSum', ':12|'), ':12|');
});

test('integers are exact over 64 bits', () => {
  assert.equal(fanOut('aggSum', ':9007199254740993|', ':2|'), ':9007199254740995|');
  assert.equal(fanOut('aggMax', ':9223372036854775806|', ':9223372036854775807|'), ':9223372036854775807|');
  assert.equal(
    fanOut('aggMin', ':-9223372036854775808|', ':-9223372036854775807|'),
    ':-9223372036854775808|',
  );
  fc.assert(
    fc.property(
      fc.array(fc.bigInt({ min: -(2n ** 61n), max: 2n ** 61n }), { minLength: 1, maxLength: 3 }),
      (values) => {
        const sum = values.reduce((a, b) => a + b, 0n);
        assert.equal(fanOut('aggSum', ...values.map((value) => `:${value}|`)), `:${sum}|`);
      },
    ),
  );
});

test('replies of another shape than the policy’s are an error', () => {
  for (const other of ['*1|:1|', '+OK|', '$1|1|', ':x|', '*2|:1|$1|1|']) {
    assert.match(fanOut('aggSum', '*2|:1|:1|', other), /^-ERR slotless/, other);
  }
  assert.match(fanOut('aggSum', ':1|', '*1|:1|'), /^-ERR slotless/);
});

test('all must succeed: one failure is the reply, with the node’s name', () => {
  assert.equal(fanOut('allSucceeded', '+OK|', '+OK|'), '+OK|');
  assert.equal(
    fanOut('allSucceeded', '+OK|', '-MISCONF disk|'),
    '-MISCONF slotless: part node 10.0.0.2:6379 failed: MISCONF disk|',
  );
  assert.match(fanOut('aggSum', ':1|', '!10|ERR broken|'), /^-ERR .*10\.0\.0\.2:6379 failed: ERR broken/);
  assert.equal(fanOut('allSucceeded', '-ERR unknown|', '-ERR unknown|'), '-ERR unknown|');
});

test('one must succeed; of errors UNKILLABLE tells more than NOTBUSY', () => {
  assert.equal(fanOut('oneSucceeded', '-NOTBUSY x|', '+OK|'), '+OK|');
  assert.equal(fanOut('oneSucceeded', '-NOTBUSY x|', '-UNKILLABLE y|', '-ERR z|'), '-UNKILLABLE y|');
  assert.equal(fanOut('oneSucceeded', '-NOTBUSY x|', '-ERR z|'), '-ERR z|');
  assert.equal(fanOut('oneSucceeded', '-NOTBUSY x|', '-NOTBUSY x|'), '-NOTBUSY x|');
});

test('a million elements are joined, and put in order', () => {
  const half = 500_000;
  const array = `*${half}\r\n${'$1\r\nx\r\n'.repeat(half)}`;
  const command = CommandTable.parse([
    ['keys', 2, [], 0, 0, 0, [], ['request_policy:all_shards'], [], []],
  ]).byName('keys')!;
  const joined = mergeFanOut(command, bytes(array, array), ['a', 'b']);
  assert.equal(joined.length, `*${2 * half}\r\n`.length + 2 * half * 7);
  const plan = {
    slot: [1, 2],
    count: 2,
    keys: 2 * half,
    part: Array.from({ length: 2 * half }, (_, k) => k % 2),
  };
  const ordered = mergeSplit(plan as unknown as Plan, SIX.byName('mget')!, bytes(array, array));
  assert.ok(ordered.equals(joined));
});
