/**
 * The framer of requests: fixed cases for every rule and error, properties over cuts and over the security
 * boundary (what is forwarded is canonical), and a count of reads in place of a timing.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { COMMAND, EMPTY, Frame, frame, MORE, type RequestLimits, VIOLATION } from '../../src/resp/request.ts';
import { command } from '../../src/resp/write.ts';
import { byteByByte, type Cuts, randomCuts, tokens, whole } from './cuts.ts';

const LIMITS: RequestLimits = { arguments: 1048576, bulk: 536870912, inline: 65536 };

type Event = string[] | string;

interface Options {
  limits?: RequestLimits;
  authenticated?: boolean;
  /** Moves the input to another buffer, without what was consumed, before every piece. */
  move?: boolean;
}

/** Frames all of `input`: a list of arguments per command, a text for all else. Checks each frame's promises. */
function run(input: Buffer, cuts: Cuts, options: Options = {}): Event[] {
  const { limits = LIMITS, authenticated = true, move = false } = options;
  const events: Event[] = [];
  const f = new Frame();
  let buffer = Buffer.from(input);
  let base = 0;
  let least = 0;
  f.reset(0);
  for (const cut of cuts(input.length)) {
    if (move) {
      const delta = 3 - f.from;
      buffer = Buffer.concat([Buffer.from('###'), input.subarray(base + f.from)]);
      base -= delta;
      f.rebase(buffer, delta);
    }
    for (;;) {
      const result = frame(f, buffer, cut - base, limits, authenticated);
      if (result === MORE) {
        assert.ok(f.need >= 1);
        least = Math.max(least, cut + f.need);
        break;
      }
      if (result === VIOLATION) return [...events, f.error];
      assert.ok(base + f.consumed >= least, 'need was more than was missing');
      assert.ok(base + f.consumed <= cut);
      if (result === COMMAND) {
        const args = argumentsOf(f);
        assert.equal(f.expected, f.argc);
        assert.deepEqual(text(f.bytes, f.from, f.to), command(args.map(bytes)).toString('latin1'));
        if (f.canonical) assert.equal(f.bytes, buffer);
        events.push(args);
      } else {
        assert.equal(result, EMPTY);
        events.push('empty');
      }
      least = 0;
      f.reset(f.consumed);
    }
  }
  if (base + f.from < input.length) events.push('more');
  return events;
}

function argumentsOf(f: Frame): string[] {
  return Array.from({ length: f.argc }, (_, i) => text(f.bytes, f.starts[i]!, f.ends[i]!));
}

function text(source: Uint8Array, from: number, to: number): string {
  return Buffer.from(source.subarray(from, to)).toString('latin1');
}

function bytes(value: string): Buffer {
  return Buffer.from(value, 'latin1');
}

/** Asserts the outcome whole, byte by byte, and moved about. */
function check(input: string | Buffer, expected: Event[], options: Options = {}): void {
  const buffer = typeof input === 'string' ? bytes(input) : input;
  for (const cuts of [whole, byteByByte]) {
    for (const move of [false, true]) assert.deepEqual(run(buffer, cuts, { ...options, move }), expected);
  }
}

test('a pipeline of commands is framed one by one', () => {
  check('*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n', [['PING'], ['SET', 'k', '']]);
});

test('a canonical command is a view of the input, not a copy', () => {
  const input = bytes('*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n');
  const f = new Frame();
  f.reset(14);
  assert.equal(frame(f, input, input.length, LIMITS, true), COMMAND);
  assert.equal(f.bytes, input);
  assert.deepEqual([f.from, f.to, f.consumed], [14, input.length, input.length]);
  assert.deepEqual(argumentsOf(f), ['GET', 'k']);
});

test('line breaks inside an argument are content', () => {
  check('*2\r\n$4\r\nECHO\r\n$12\r\n\r\n*1\r\n$4\r\n\0\xff\r\n', [['ECHO', '\r\n*1\r\n$4\r\n\0\xff']]);
});

test('what Redis tolerates is accepted, and is forwarded in canonical form', () => {
  // One irregular byte each; `run` compares what would be forwarded with an encoding made from the arguments.
  const ping = '*1\r\n$4\r\nPING\r\n';
  for (const at of [3, 7, 12, 13]) {
    for (const byte of ['X', '\r', '\n', '\0', '*', '1']) {
      if (ping[at] === byte) continue;
      const irregular = ping.slice(0, at) + byte + ping.slice(at + 1);
      check(irregular + ping, [['PING'], ['PING']]);
      const f = new Frame();
      f.reset(0);
      assert.equal(frame(f, bytes(irregular), irregular.length, LIMITS, true), COMMAND);
      assert.deepEqual([f.canonical, text(f.bytes, f.from, f.to)], [false, ping]);
    }
  }
  check(`*1\rX$4\rYPINGzz${ping}`, [['PING'], ['PING']]);
  check('*2\r\n$4\r\nECHO\n\n$3\r\nabc*1', [['ECHO', 'abc']]);
});

test('no arguments and blank lines are passed over', () => {
  check('*0\r\n*-1\r\n*-9223372036854775808\r\n\r\n\n  \t\r\n*1\r\n$4\r\nPING\r\n', [
    'empty',
    'empty',
    'empty',
    'empty',
    'empty',
    'empty',
    ['PING'],
  ]);
});

test('a count of arguments has one spelling and a limit', () => {
  const invalid = ['Protocol error: invalid multibulk length'];
  for (const count of [
    '',
    '-',
    '01',
    '+1',
    '-0',
    '1 ',
    ' 1',
    'x',
    '1x',
    '1048577',
    '2147483648',
    '00',
    '1.0',
  ]) {
    check(`*${count}\r\n`, invalid);
  }
  check('*9223372036854775808\r\n', invalid);
  check('*-9223372036854775809\r\n', invalid);
  check(`*${'1'.repeat(30)}\r\n`, invalid);
  check('*1048576\r\n', ['more']);
  check('*3\r\n', invalid, { limits: { ...LIMITS, arguments: 2 } });
});

test('the length of an argument has one spelling and a limit', () => {
  const invalid = ['Protocol error: invalid bulk length'];
  for (const length of ['', '-1', '01', '+1', '-0', 'x', '536870913', '9'.repeat(21)]) {
    check(`*1\r\n$${length}\r\n`, invalid);
  }
  check('*1\r\n$536870912\r\n', ['more']);
  check('*1\r\n$5\r\n', invalid, { limits: { ...LIMITS, bulk: 4 } });
});

test('an argument begins with a dollar sign, and the error says what was found', () => {
  check('*1\r\n+PING\r\n', ["Protocol error: expected '$', got '+'"]);
  check('*2\r\n$1\r\na\r\n:1\r\n', ["Protocol error: expected '$', got ':'"]);
  check('*1\r\n\xff\r\n', ["Protocol error: expected '$', got '\xff'"]);
  check('*1\r\n\r\n', ["Protocol error: expected '$', got '\r'"]);
  check('*1\r\n7\r\n', ["Protocol error: expected '$', got '7'"]);
});

test('a line without an end is too big at the limit and not before', () => {
  const limits = { ...LIMITS, inline: 100 };
  const cases = [
    ['*', 'too big mbulk count string'],
    ['*1\r\n$', 'too big bulk count string'],
    ['', 'too big inline request'],
  ] as const;
  for (const [start, error] of cases) {
    const line = start.slice(start.lastIndexOf('\n') + 1);
    check(start + '1'.repeat(100 - line.length), ['more'], { limits });
    check(start + '1'.repeat(101 - line.length), [`Protocol error: ${error}`], { limits });
    check(`${start}${'1'.repeat(101 - line.length)}\r\n`, [`Protocol error: ${error}`], { limits });
  }
  check(`${'1'.repeat(100)}\n`, [['1'.repeat(100)]], { limits });
});

test('a NUL hides the end of a line, as in Redis', () => {
  const limits = { ...LIMITS, inline: 100 };
  check('*1\0\r\n$4\r\nPING\r\n', ['more']);
  check('PING\0\r\nPING\r\n', ['more']);
  check(`PING\0\r\n${'x'.repeat(200)}`, ['Protocol error: too big inline request'], { limits });
  check(`*1\r\n$\0${'x\r\n'.repeat(50)}`, ['Protocol error: too big bulk count string'], { limits });
});

test('before authentication arguments are few and short', () => {
  const options = { authenticated: false };
  check('*10\r\n', ['more'], options);
  check('*11\r\n', ['Protocol error: unauthenticated multibulk length'], options);
  check('*1048577\r\n', ['Protocol error: invalid multibulk length'], options);
  check('*1\r\n$16384\r\n', ['more'], options);
  check('*1\r\n$16385\r\n', ['Protocol error: unauthenticated bulk length'], options);
  check('*1\r\n$536870913\r\n', ['Protocol error: invalid bulk length'], options);
});

test('an inline command is encoded anew', () => {
  check('SET k "a b\\r\\n"\r\nGET k\n', [
    ['SET', 'k', 'a b\r\n'],
    ['GET', 'k'],
  ]);
  check('SET k "a\r\n', ['Protocol error: unbalanced quotes in request']);
  check('""\r\n', [['']]);
});

test('what is known of a command that has not all come is told', () => {
  const input = bytes('*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\nabc');
  const f = new Frame();
  f.reset(0);
  assert.equal(frame(f, input, 2, LIMITS, true), MORE);
  assert.deepEqual([f.expected, f.argc, f.partLength], [-1, 0, -1]);
  assert.equal(frame(f, input, 15, LIMITS, true), MORE);
  assert.deepEqual([f.expected, f.argc, f.partLength, argumentsOf(f)], [3, 1, -1, ['SET']]);
  assert.equal(f.need, 4 + 6);
  assert.equal(frame(f, input, input.length, LIMITS, true), MORE);
  assert.deepEqual([f.expected, f.argc, f.partLength], [3, 2, 1000]);
  assert.deepEqual([f.partStart, f.need], [input.length - 3, 999]);
});

test('an argument can be passed on in pieces while it comes', () => {
  const value = 'v'.repeat(100_000);
  const input = bytes(`*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n${value}??$4\rXKEEP\r\nPING\r\n`);
  const f = new Frame();
  f.reset(0);
  let window = Buffer.alloc(0);
  let passed = '';
  let result = MORE;
  for (let at = 0; result === MORE; at += 1000) {
    window = Buffer.concat([window, input.subarray(at, at + 1000)]);
    f.rebase(window, 0);
    result = frame(f, window, window.length, LIMITS, true);
    if (passed.length === value.length || (f.argc < 3 && f.partLength < 0)) continue;
    // Takes what has come of the third argument, and everything before it, out of the window.
    const start = f.argc > 2 ? f.starts[2]! : f.partStart;
    const end = f.argc > 2 ? f.ends[2]! : Math.min(window.length, f.partStart + f.partLength);
    passed += text(window, Math.max(start, 0), end);
    window = window.subarray(end);
    f.rebase(window, -end);
  }
  assert.equal(passed.length, value.length);
  assert.ok(passed === value);
  assert.deepEqual([f.argc, f.canonical, f.from < -value.length], [4, false, true]);
  assert.equal(text(f.bytes, f.starts[3]!, f.ends[3]!), 'KEEP');
  assert.equal(window.toString('latin1', f.consumed), 'PING\r\n');
});

test('many arguments grow the arrays, which are not kept', () => {
  const args = Array.from({ length: 5000 }, (_, i) => `argument ${i}`);
  const input = command(args);
  const f = new Frame();
  f.reset(0);
  assert.equal(frame(f, input, input.length, LIMITS, true), COMMAND);
  assert.deepEqual(argumentsOf(f), args);
  f.reset(0);
  assert.equal(f.starts.length, 64);
  assert.deepEqual(run(input, byteByByte), [args]);
});

test('bytes that come one by one are not read again and again', () => {
  const input = command(Array.from({ length: 5000 }, () => 'a'));
  let reads = 0;
  const counted = new Proxy(input, {
    get(target, key) {
      reads++;
      return target[key as unknown as number];
    },
  });
  const f = new Frame();
  f.reset(0);
  for (let end = 1; end < input.length; end++) assert.equal(frame(f, counted, end, LIMITS, true), MORE);
  assert.equal(frame(f, counted, input.length, LIMITS, true), COMMAND);
  assert.ok(reads < input.length * 12, `${reads} reads of ${input.length} bytes`);

  const line = Buffer.from(`${'x'.repeat(20_000)}\n`);
  reads = 0;
  const countedLine = new Proxy(line, {
    get(target, key) {
      if (typeof key === 'string' && /^\d/.test(key)) reads++;
      return Reflect.get(target, key, target);
    },
  });
  f.reset(0);
  for (let end = 1; end < line.length; end++) assert.equal(frame(f, countedLine, end, LIMITS, true), MORE);
  assert.ok(reads < line.length * 4, `${reads} reads of ${line.length} bytes`);
});

test('commands of any arguments come out as they went in, however they are cut', () => {
  const commands = fc.array(fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1, maxLength: 90 }), {
    maxLength: 5,
  });
  fc.assert(
    fc.property(commands, randomCuts, fc.boolean(), (list, cuts, move) => {
      const input = Buffer.concat(list.map(command));
      const expected = list.map((args) => args.map((arg) => text(arg, 0, arg.length)));
      assert.deepEqual(run(input, cuts, { move }), expected);
    }),
  );
});

test('any bytes give the same frames however they are cut, and only canonical ones', () => {
  const parts = [
    '*',
    '$',
    '1',
    '2',
    '3',
    '0',
    '-1',
    '\r\n',
    '\r\n',
    '\r',
    '\n',
    'a',
    '"',
    "'",
    '\\',
    ' ',
    '\0',
  ];
  const shapes = [
    '*1\r\n',
    '*2\r\n',
    '$1\r\na\r\n',
    '$1\r\nb\r',
    '$0\r\n\r\n',
    '$2\rxab\r\n',
    '*1\rx',
    '$2\r\nab\rx',
    '$2\r\nabxy',
    'SET k v\r\n',
  ];
  const limits = { arguments: 5, bulk: 30, inline: 40 };
  const input = fc.oneof(tokens([...parts, ...shapes]), tokens(shapes));
  fc.assert(
    fc.property(input, randomCuts, fc.boolean(), fc.boolean(), (raw, cuts, move, authenticated) => {
      const options = { limits, authenticated };
      const expected = run(raw, whole, options);
      assert.deepEqual(run(raw, byteByByte, { ...options, move }), expected);
      assert.deepEqual(run(raw, cuts, { ...options, move }), expected);
    }),
    { numRuns: 3000 },
  );
});
