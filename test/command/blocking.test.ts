import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  isNil,
  keysOf,
  leaves,
  timeoutOf,
  undoOf,
  withKeys,
  withTimeLeft,
  wordsOf,
} from '../../src/command/blocking.ts';
import type { CommandTable } from '../../src/command/table.ts';
import { framed } from './framed.ts';
import { type Fixture, startAll, stopAll } from './tables.ts';

let fixtures: Fixture[];
let table: CommandTable;

before(async () => {
  fixtures = await startAll();
  table = fixtures[0]!.table;
});

after(() => stopAll(fixtures));

function read(text: string) {
  const args = framed(...text.split(' '));
  const command = table.find(args)!;
  return {
    command,
    args,
    words: wordsOf(args),
    timeout: timeoutOf(command, args),
    keys: keysOf(command, args),
  };
}

const text = (words: readonly (string | Buffer)[]) => words.map(String).join(' ');

test('the timeout is found where the command has it', () => {
  const of = (call: string) => {
    const { at, milliseconds, valid } = read(call).timeout;
    return [at, milliseconds, valid];
  };
  assert.deepEqual(of('BLPOP a b 1.5'), [3, 1500, true]);
  assert.deepEqual(of('BLMOVE a b LEFT LEFT 0'), [5, Number.POSITIVE_INFINITY, true]);
  assert.deepEqual(of('BLMPOP 2 1 a LEFT'), [1, 2000, true]);
  assert.deepEqual(of('XREAD COUNT 1 BLOCK 30 STREAMS a 0'), [4, 30, true]);
  assert.deepEqual(of('XREAD BLOCK 1.5 STREAMS a 0'), [2, 1.5, false]);
  assert.deepEqual(of('WAIT 1 100'), [2, 100, true]);
  for (const wrong of ['x', '-1', '1e30', '99999999999'])
    assert.equal(read(`BLPOP a ${wrong}`).timeout.valid, false, wrong);
});

test('what is left of the time takes its place, and is never none', () => {
  const left = (call: string, ms: number) => {
    const { words, timeout } = read(call);
    return text(withTimeLeft(words, timeout, ms));
  };
  assert.equal(left('BLPOP a b 9', 1234.2), 'BLPOP a b 1.235');
  assert.equal(left('BZMPOP 9 1 a MIN', -5), 'BZMPOP 0.001 1 a MIN');
  assert.equal(left('XREAD BLOCK 9000 STREAMS a 0', 12.5), 'XREAD BLOCK 13 STREAMS a 0');
});

test('a call is given with some of its keys', () => {
  const some = (call: string, ...which: number[]) => {
    const { command, words, keys } = read(call);
    return text(
      withKeys(
        command,
        words,
        keys,
        which.map((i) => keys[i]!),
      ),
    );
  };
  assert.equal(some('BLPOP a b c 0', 0, 2), 'BLPOP a c 0');
  assert.equal(some('BLMPOP 0 3 a b c RIGHT COUNT 2', 1), 'BLMPOP 0 1 b RIGHT COUNT 2');
  assert.equal(some('XREAD BLOCK 0 STREAMS a b c 1 2 3', 0, 2), 'XREAD BLOCK 0 STREAMS a c 1 3');
});

test('what was popped goes back where it was', () => {
  const undo = (call: string, reply: string) => {
    const { command, words } = read(call);
    const found = undoOf(command, words, Buffer.from(reply.replaceAll('|', '\r\n')));
    return found && text(found);
  };
  assert.equal(undo('BLPOP a b 0', '*2|$1|b|$1|x|'), 'LPUSH b x');
  assert.equal(undo('BRPOP a b 0', '*2|$1|b|$0||'), 'RPUSH b ');
  const two = '*2|$1|a|*2|$1|x|$1|y|';
  assert.equal(undo('BLMPOP 0 2 a b left COUNT 2', two), 'LPUSH a y x');
  assert.equal(undo('BLMPOP 0 2 left b RIGHT COUNT 2', two), 'RPUSH a y x');
  assert.equal(undo('BZPOPMIN a b 0', '*3|$1|a|$1|m|$3|1.5|'), 'ZADD a NX 1.5 m');
  assert.equal(undo('BZPOPMAX a b 0', '*3|$1|a|$1|m|,1.5|'), 'ZADD a NX 1.5 m');
  assert.equal(
    undo('BZMPOP 0 2 a b MIN COUNT 2', '*2|$1|a|*2|*2|$1|m|,1|*2|$1|n|,inf|'),
    'ZADD a NX 1 m inf n',
  );
  for (const nothing of ['*-1|', '_|', '-ERR x|', '$-1|'])
    assert.equal(undo('BLPOP a b 0', nothing), undefined, nothing);
  assert.equal(undo('BLMOVE a b LEFT LEFT 0', '$1|x|'), undefined);
  assert.equal(undo('XREAD BLOCK 0 STREAMS a 0', '*1|*2|$1|a|*0|'), undefined);
});

test('a null is one in either protocol, and the leaves of a reply are found at any depth', () => {
  assert.deepEqual(
    ['*-1\r\n', '_\r\n', '$-1\r\n', '*0\r\n', '+OK\r\n'].map((one) => isNil(Buffer.from(one))),
    [true, true, true, false, false],
  );
  const deep = Buffer.from('*2\r\n$4\r\na\r\nb\r\n%1\r\n:7\r\n*1\r\n,0.5\r\n');
  assert.deepEqual(leaves(deep).map(String), ['a\r\nb', '7', '0.5']);
});
