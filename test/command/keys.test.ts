// The oracle is the servers' own COMMAND GETKEYS, asked about every command they have.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { equalsIgnoreCase, toText } from '../../src/command/arguments.ts';
import { ACCESS, type Command, FLAG, HAND } from '../../src/command/command.ts';
import { blocks, CROSS, findKeys, INVALID, Keys, NONE, slotOfKeys, UNKNOWN } from '../../src/command/keys.ts';
import { CommandTable } from '../../src/command/table.ts';
import { connect, decode } from '../support/client.ts';
import { framed } from './framed.ts';
import { type Fixture, startAll, stopAll } from './tables.ts';

let fixtures: Fixture[] = [];
before(async () => {
  fixtures = await startAll();
});
after(() => stopAll(fixtures));

/** What the proxy finds: the keys, or the code. */
function ours(command: Command, words: readonly string[]): string[] | number {
  const args = framed(...words);
  const keys = new Keys();
  const count = findKeys(command, args, keys);
  return count < 0 ? count : Array.from(keys.at.subarray(0, count), (i) => toText(args, i));
}

const CURATED = `
  GET a|SET a 1|set a 1 GET EX 5|MGET a b c|MSET a 1 b 2|MSETNX a 1 b 2|DEL a|LCS a b|LCS a b LEN
  BITOP AND d a b|BITOP NOT d a|COPY a b DB 1|RENAME a b|SMOVE a b m|LMOVE a b LEFT RIGHT
  EVAL x 0|EVAL x 0 a b|EVAL x 1 a|EVAL x 2 a b c|EVAL x 3 a b|EVAL x -1 a|EVAL x y a|FCALL f 1 a b
  EVALSHA_RO s 2 a b|ZUNION 2 a b WEIGHTS 1 2|ZUNION 0 a|ZUNION 3 a b|ZUNIONSTORE d 2 a b|ZUNIONSTORE d 9 a
  ZDIFFSTORE d 1 a|SINTERCARD 2 a b LIMIT 3|LMPOP 2 a b LEFT|ZMPOP 1 a MIN|BLMPOP 0 2 a b LEFT|BZMPOP 1 1 a MAX
  BLPOP a b 0|BRPOP a 0|BZPOPMIN a b c 1|BLMOVE a b LEFT LEFT 0|BRPOPLPUSH a b 0
  SORT a|SORT a BY w_* GET o_* DESC|SORT a STORE b|SORT a GET STORE STORE b|SORT a LIMIT 0 STORE STORE b
  SORT a store b STORE c|SORT a BY STORE GET x|SORT_RO a BY x*|SORT a STORE
  GEORADIUS k 0 0 1 m|GEORADIUS k 0 0 1 m STORE d|GEORADIUS k 0 0 1 m STOREDIST d|GEORADIUS k 0 0 1 m COUNT 1 STORE d
  GEORADIUSBYMEMBER k STORE 1 m|GEORADIUSBYMEMBER k x 1 m STORE d|GEOSEARCHSTORE d s FROMMEMBER x BYRADIUS 1 m
  XREAD STREAMS a 0|XREAD COUNT 1 BLOCK 0 STREAMS a b 0 0|XREAD streams streams 0|XREAD BLOCK 5 STREAMS a b c 0 0 0
  XREADGROUP GROUP g c STREAMS a >|XREADGROUP GROUP g c COUNT 1 NOACK STREAMS a b > >
  XREADGROUP GROUP STREAMS STREAMS STREAMS a >|XADD s * f v|XGROUP CREATE s g $|XGROUP HELP|XINFO STREAM s|XINFO HELP
  OBJECT ENCODING a|OBJECT HELP|MEMORY USAGE a SAMPLES 0|MEMORY DOCTOR|PFCOUNT a b|PFMERGE d a b|PFADD a
  MIGRATE h 1 k 0 9|MIGRATE h 1 k 0 9 COPY REPLACE AUTH keys
  MIGRATE h 1 KEYS 0 9 AUTH2 KEYS KEYS|ZRANGESTORE d s 0 -1|SUNIONSTORE d a b|SDIFF a b|WATCH a b|TOUCH a b
  PING x|INFO x|CLIENT ID|CONFIG GET x|SCAN 0|SUBSCRIBE a|PUBLISH a b|SELECT 0
`;

const POOL = 'a b c {t}1 {t}2 0 1 2 3 -1 x* STORE storedist STREAMS KEYS COUNT BY GET LIMIT BLOCK GROUP LEFT'
  .split(' ')
  .concat(['', '99999999999999999999', 'WITH SPACE']);

/** A repeatable sequence of numbers below `below` (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function calls(table: CommandTable): string[][] {
  const curated = CURATED.trim()
    .split(/\||\n/)
    .map((line) => line.trim().split(' '));
  const random = randomOf(20241001);
  const made = table.commands.flatMap((command) => {
    const name = command.name.split('|');
    return Array.from({ length: command.keySpecs.length > 0 ? 8 : 1 }, () => {
      const length = Math.max(name.length, Math.abs(command.arity)) + (command.arity < 0 ? random(7) : 0);
      const words = Array.from({ length: length - name.length }, () => POOL[random(POOL.length)]!);
      return [...name, ...words];
    });
  });
  return [...curated, ...made];
}

/** Why the proxy may say something else than COMMAND GETKEYS. */
function exception(command: Command, words: readonly string[]): string | undefined {
  const args = framed(...words);
  const found = (text: string) => words.some((_, i) => i > 4 && equalsIgnoreCase(args, i, text));
  if (command.keySpecs.some((spec) => spec.access & ACCESS.notKey)) return 'channels route as keys do';
  if (command.name === 'pfmerge' && words.length === 2) return 'a good call, whose sources are none';
  if (command.hand === HAND.geoRadius && (found('store') || found('storedist'))) {
    return 'of two the last counts, and GETKEYS names both';
  }
  if (command.hand === HAND.xread) return 'GETKEYS takes any STREAMS for the option';
  return undefined;
}

test('keys are where the server says they are', async () => {
  for (const { name, table, lone } of fixtures) {
    const client = await connect(lone.port, { host: lone.host });
    const all = calls(table);
    const replies = await client.pipeline(all.map((words) => ['COMMAND', 'GETKEYS', ...words]));
    let compared = 0;
    for (const [i, words] of all.entries()) {
      const command = table.find(framed(...words));
      const reply = decode(replies[i]!);
      const label = `${name}: ${JSON.stringify(words)}`;
      assert.ok(command, label);
      // COMMAND GETKEYS of 7.0 wants a command of two words at least.
      if (words.length < 2 || exception(command, words)) continue;
      compared++;
      const found = ours(command, words);
      // Where keys may be none, GETKEYS has no error for arguments without sense.
      const lenient = found === INVALID && command.flags & FLAG.noMandatoryKeys ? [] : found;
      if (!(reply instanceof Error)) assert.deepEqual(lenient, reply, label);
      else if (/number of arguments/.test(reply.message)) assert.ok(!command.takes(words.length), label);
      else if (/has no key arguments|Invalid command/.test(reply.message)) assert.deepEqual(found, [], label);
      else assert.equal(found, INVALID, `${label} ${reply.message}`);
    }
    assert.ok(compared > 1000, `${name}: only ${compared} calls compared`);
    await client.close();
  }
});

test('GEORADIUS writes the last of its STOREs, XREAD reads what follows its own STREAMS', () => {
  for (const { table } of fixtures) {
    const keysOf = (text: string) => {
      const words = text.split(' ');
      return ours(table.find(framed(...words))!, words);
    };
    assert.deepEqual(keysOf('GEORADIUS k 0 0 1 m STORE a STOREDIST b'), ['k', 'b']);
    assert.deepEqual(keysOf('GEORADIUSBYMEMBER k STORE 1 m store d'), ['k', 'd']);
    assert.deepEqual(keysOf('XREAD COUNT 2 BLOCK 0 streams a b 0 0'), ['a', 'b']);
    assert.deepEqual(keysOf('XREADGROUP GROUP STREAMS COUNT COUNT 1 NOACK STREAMS streams >'), ['streams']);
    assert.deepEqual(keysOf('PFMERGE d'), ['d']);
    for (const text of ['XREAD STREAMS a', 'XREAD STREAMS a b 0', 'XREAD FOO STREAMS a 0', 'XREAD COUNT 1']) {
      assert.equal(keysOf(text), INVALID, text);
    }
    assert.equal(keysOf('MIGRATE h 1 k 0 9 KEYS a'), INVALID);
    assert.deepEqual(keysOf('SSUBSCRIBE a b'), ['a', 'b']);
  }
});

test('only a stream read with BLOCK may block', () => {
  for (const { table } of fixtures) {
    const blocking = (text: string) => {
      const args = framed(...text.split(' '));
      return blocks(table.find(args)!, args);
    };
    assert.ok(blocking('XREAD BLOCK 0 STREAMS a 0'));
    assert.ok(blocking('xreadgroup group g c count 1 block 5 streams a >'));
    assert.ok(!blocking('XREAD COUNT 1 STREAMS block 0'));
    assert.ok(!blocking('XREADGROUP GROUP BLOCK BLOCK STREAMS a >'));
    assert.ok(!blocking('GET block'));
  }
});

test('a call’s slot is that of its keys, or a code that says why it has none', () => {
  for (const { table } of fixtures) {
    const slot = (text: string) => {
      const args = framed(...text.split(' '));
      return slotOfKeys(table.find(args)!, args);
    };
    assert.equal(slot('GET foo'), 12182);
    assert.equal(slot('MGET {foo}1 {foo}2'), 12182);
    assert.equal(slot('MGET foo bar'), CROSS);
    assert.equal(slot('ZUNIONSTORE {foo}d 2 {foo}1 {foo}2'), 12182);
    assert.equal(slot('ZUNIONSTORE {foo}d 2 {foo}1 bar'), CROSS);
    assert.equal(slot('XGROUP CREATE foo g $'), 12182);
    assert.equal(slot('PING'), NONE);
    assert.equal(slot('EVAL x 0 foo'), NONE);
    assert.equal(slot('EVAL x 2 foo'), INVALID);
  }
});

test('a module’s key specs lead to its keys, and what they leave open is for COMMAND GETKEYS', () => {
  const spec = (flags: string[], begin: unknown[], find: unknown[]) => [
    ['flags', flags, 'begin_search', begin, 'find_keys', find],
  ];
  const index = (i: number) => ['type', 'index', 'spec', ['index', i]];
  const keyword = (word: string, from: number) => [
    'type',
    'keyword',
    'spec',
    ['keyword', word, 'startfrom', from],
  ];
  const range = (last: number, step: number, limit: number) => [
    'type',
    'range',
    'spec',
    ['lastkey', last, 'keystep', step, 'limit', limit],
  ];
  const unknown = ['type', 'unknown', 'spec', []];
  const row = (name: string, flags: string[], specs: unknown[]) => {
    return [name, -1, ['module', ...flags], 0, 0, 0, [], [], specs, []];
  };
  const table = CommandTable.parse([
    row('M.ONE', [], spec(['RO'], index(1), range(0, 1, 0))),
    row('M.HALF', [], spec(['RO'], keyword('STREAMS', 1), range(-1, 1, 2))),
    row('M.BACK', [], spec(['RO'], keyword('KEYS', -2), range(-2, 1, 0))),
    row('M.PAIRS', [], spec(['RO'], index(2), range(-2, 2, 0))),
    row('M.PART', [], spec(['RO', 'incomplete'], index(1), range(0, 1, 0))),
    row('M.DARK', [], spec(['RO'], unknown, unknown)),
    row('M.API', ['movablekeys'], []),
    row('M.LAX', ['movablekeys'], spec(['RW', 'variable_flags'], index(1), range(0, 1, 0))),
  ]);
  const keysOf = (text: string) => ours(table.find(framed(...text.split(' ')))!, text.split(' '));
  assert.deepEqual(keysOf('m.one a b'), ['a']);
  assert.equal(keysOf('m.one'), INVALID);
  assert.deepEqual(keysOf('m.half STREAMS a b 1 2'), ['a', 'b']);
  assert.deepEqual(keysOf('m.half a b'), []);
  assert.deepEqual(keysOf('m.back KEYS 1 keys a b c'), ['a', 'b']);
  assert.deepEqual(keysOf('m.pairs x a 1 b 2 end'), ['a', 'b']);
  for (const name of ['m.part', 'm.dark', 'm.api', 'm.lax']) assert.equal(keysOf(`${name} a`), UNKNOWN, name);
});
