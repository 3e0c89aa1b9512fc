/** What is run in place of a call on stand-ins: its words, and where a script's or function's text is found. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SCRIPT } from '../../src/command/command.ts';
import type { Crossing } from '../../src/gather/crossing.ts';
import { Refusal } from '../../src/gather/reach.ts';
import { nativeOf } from '../../src/gather/script.ts';
import { encode } from '../../src/resp/write.ts';

const CODE = `#!lua name=lib\nredis.register_function('f', function() end)`;

/** A call with keys at these places. `known`: scripts; `asked`: what a node was. */
function crossing(script: number, line: string, at: number[], known: Record<string, string> = {}) {
  const words = line.split(' ').map((word) => Buffer.from(word));
  const asked: string[] = [];
  const call = {
    command: { name: line.split(' ', 1)[0]!.toLowerCase(), script },
    words,
    keys: at.map((i) => ({ at: i, name: words[i]!, slot: i, written: true })),
    texts: {
      scriptOf: async (sha: string) => (known[sha] === undefined ? undefined : Buffer.from(known[sha])),
      equip: async (slot: number, name: string) => void asked.push(`equip ${slot} ${name}`),
    },
    reach: {
      ask: async (slot: number, command: readonly unknown[]) => {
        asked.push(`${slot} ${command.join(' ')}`);
        return command[0] === 'FUNCTION'
          ? list(command.includes('WITHCODE'))
          : Buffer.from('-NOSCRIPT none\r\n');
      },
    },
  } as unknown as Crossing;
  return { call, asked };
}

/** FUNCTION LIST, in either version of the protocol. */
let resp: 2 | 3 = 2;
function list(withCode: boolean): Buffer {
  const one = new Map<string, unknown>([
    ['name', 'f'],
    ['flags', new Set(['no-writes'])],
  ]);
  const library = new Map<string, unknown>([
    ['library_name', 'lib'],
    ['functions', [one]],
  ]);
  if (withCode) library.set('library_code', CODE);
  return encode(resp, [library] as never);
}

const nameOf = (key: Buffer) => Buffer.from(`<${key}>`);

test('a command has its keys replaced where they stand, and nowhere else', async () => {
  const { call } = crossing(SCRIPT.none, 'MSETNX a b b a', [1, 3]);
  const native = await nativeOf(call, 1);
  assert.equal(native.words(nameOf).join(' '), 'MSETNX <a> b <b> a');
  assert.equal(String(native.restore(Buffer.from('-ERR x\r\n'))), '-ERR x\r\n');
});

test('a script is evaluated with its keys, its arguments and the names of its keys', async () => {
  for (const [line, script, verb] of [
    ['EVAL text 2 a b x y', SCRIPT.source, 'EVAL'],
    ['EVAL_RO text 2 a b x y', SCRIPT.source, 'EVAL_RO'],
    ['EVALSHA ABC 2 a b x y', SCRIPT.sha, 'EVAL'],
    ['EVALSHA_RO abc 2 a b x y', SCRIPT.sha, 'EVAL_RO'],
  ] as const) {
    const { call } = crossing(script, line, [3, 4], { abc: 'text' });
    const [name, text, ...rest] = (await nativeOf(call, 3)).words(nameOf);
    assert.equal(name, verb);
    assert.ok(String(text).endsWith(';text'), line);
    assert.equal(rest.join(' '), '2 <a> <b> x y a b');
  }
});

test('a script that nobody knows has the error of the server', async () => {
  const { call, asked } = crossing(SCRIPT.sha, 'EVALSHA abc 2 a b', [3, 4]);
  await assert.rejects(nativeOf(call, 5), (error) => {
    return error instanceof Refusal && error.message === 'NOSCRIPT none';
  });
  assert.deepEqual(asked, [`5 EVALSHA ${'0'.repeat(40)} 0`]);
});

for (resp of [2, 3] as const) {
  const version = resp;
  test(`a function is called with its library's text and its flags, in RESP${version}`, async () => {
    resp = version;
    const { call, asked } = crossing(SCRIPT.function, 'FCALL_RO f 2 a b x', [3, 4]);
    const [name, text, ...rest] = (await nativeOf(call, 5)).words(nameOf);
    assert.equal(name, 'EVAL_RO');
    assert.match(String(text), /^#!lua flags=no-writes\n.*redis\.register_function\('f'.*call__\('f'\)$/s);
    assert.equal(rest.join(' '), '2 <a> <b> x a b');
    assert.deepEqual(asked, ['equip 5 f', '5 FUNCTION LIST', '5 FUNCTION LIST LIBRARYNAME lib WITHCODE']);
  });
}

test('a function that no library has is not found', async () => {
  const { call } = crossing(SCRIPT.function, 'FCALL g 2 a b', [3, 4]);
  await assert.rejects(nativeOf(call, 5), /ERR Function not found/);
});
