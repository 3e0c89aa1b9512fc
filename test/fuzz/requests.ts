/**
 * What hostile clients send: valid commands, and what chance makes of them.
 *
 * Nothing here stops, flushes or reconfigures a server, and no key is one of a healthy client's, so that
 * whatever a mutation makes of it, those go on. The values of valid commands hold whole commands that write
 * `SMUGGLED`: should the proxy or a node ever take a part of a value for a command, that key would be there.
 */

import { type Argument, encode } from '../support/client.ts';
import { cut, mutate, NUMBERS, type Random } from './random.ts';

export const SMUGGLED = 'smuggled-by-fuzz';

/** As long as the other: where bytes are mutated, a part of a value may rightly become a command. */
const LET_OUT = 'let-out-by-mutat';
const STOWAWAY = encode(['SET', LET_OUT, 'x']);

/** What one connection sends, piece by piece. */
export interface Input {
  readonly kind: string;
  readonly pieces: readonly Buffer[];
  /** Bytes were changed: what a server makes of them is not known. */
  readonly mutated: boolean;
}

const KINDS: readonly (readonly [string, number, (random: Random) => Buffer])[] = [
  ['mutated', 40, (random) => mutate(random, pipeline(random, 12), CORPUS)],
  ['random', 8, (random) => random.bytes(random.size(65536))],
  ['tokens', 8, (random) => random.tokens(random.size(4096))],
  ['lengths', 10, lengths],
  ['inline', 10, inline],
  ['sessions', 8, sessions],
  ['deep', 1, (random) => deep(random)],
  ['large', 3, large],
];

/** Lengths that are announced and whose bytes never all come. */
function lengths(random: Random): Buffer {
  const number = () => random.pick(NUMBERS);
  const head = random.pick([
    () => `*${number()}\r\n`,
    () => `*2\r\n$${number()}\r\n`,
    () => `*2\r\n$3\r\nGET\r\n$${number()}\r\n`,
    () => `*3\r\n$3\r\nSET\r\n$4\r\nf:up\r\n$${number()}\r\n`,
    () => `*${number()}\r\n$4\r\nMGET\r\n$${number()}\r\n`,
    () => `*${number()}\r\n$4\r\nMSET\r\n$3\r\nf:a\r\n$1\r\nb\r\n`,
    () => `*1048576\r\n${'$0\r\n\r\n'.repeat(random.size(20_000))}`,
    () => '*'.repeat(random.size(5000)),
    () => `$${number()}\r\n`,
  ]);
  const rest = random.chance(0.7) ? random.bytes(random.size(8192)) : pipeline(random, 5);
  return Buffer.concat([Buffer.from(head(), 'latin1'), rest]);
}

function inline(random: Random): Buffer {
  const lines = Array.from({ length: random.size(20) }, () => {
    const words = Array.from({ length: random.int(6) }, () =>
      random.pick([
        ...['GET', 'set', 'PING', 'f:k', 'ECHO', '"a b"', "'c\\'d'", '"\\x41\\n"', '"open', "'open", '""'],
        ...['\\', '"a"b', '\0', '\xff\xfe', ' ', '\t', 'x'.repeat(random.size(2000)), 'QUIT'],
      ]),
    );
    return words.join(random.pick([' ', '  ', '\t'])) + random.pick(['\r\n', '\n', '\r', '\r\n\r\n']);
  });
  if (random.chance(0.05)) lines.push('y'.repeat(random.size(200_000)));
  return Buffer.from(lines.join(''), 'latin1');
}

/** What changes a connection's state, in any order. */
function sessions(random: Random): Buffer {
  const some: Argument[][] = [
    ['HELLO'],
    ['HELLO', 2],
    ['HELLO', 3],
    ['HELLO', random.pick(NUMBERS)],
    ['HELLO', 3, 'SETNAME', random.pick(['a', 'a b', '', '\0', 'x'.repeat(300)])],
    ['HELLO', 3, 'AUTH', 'nobody', 'wrong'],
    ['HELLO', 2, 'AUTH', 'default', 'any', 'SETNAME'],
    ['AUTH', 'wrong'],
    ['AUTH', 'nobody', 'x'.repeat(random.size(2000))],
    ['RESET'],
    ['SELECT', random.pick(NUMBERS)],
    ['CLIENT', 'SETNAME', random.pick(['n', 'n\n', ''])],
    ['CLIENT', 'SETINFO', 'LIB-NAME', random.bytes(random.size(50))],
    ['CLIENT', 'REPLY', random.pick(['ON', 'OFF', 'SKIP'])],
    ['CLIENT', random.pick(['ID', 'INFO', 'LIST', 'GETNAME', 'NO-EVICT', 'NOSUCH'])],
    ['READONLY'],
    ['QUIT'],
    ['MULTI'],
    ['GET', 'f:s'],
    ['MGET', 'f:1', 'f:2', 'f:3'],
  ];
  const bytes = Array.from({ length: random.size(40) }, () => encode(random.pick(some)));
  return Buffer.concat(bytes);
}

function deep(random: Random): Buffer {
  // Others are worked out one after the other, and would take minutes.
  let words = command(random);
  while (!PIPELINED.test(String(words[0]))) words = command(random);
  const one = encode(words);
  const count = Math.min(20_000, Math.floor(1_000_000 / one.length));
  return Buffer.concat(Array.from({ length: count }, () => one));
}

/** Arguments that go through while they still come; all of them or not. */
function large(random: Random): Buffer {
  // Keys of their own: deep pipelines of GETs of these would be gigabytes of replies.
  const value = Buffer.alloc(random.size(4_000_000), STOWAWAY);
  const whole = encode(['SET', `f:large:${random.int(20)}`, value]);
  return Buffer.concat([whole, random.chance(0.5) ? pipeline(random, 5) : Buffer.alloc(0)]);
}

function key(random: Random): string {
  return `f:${random.int(50)}`;
}

function value(random: Random): Buffer {
  const bytes = random.chance(0.5) ? STOWAWAY : random.bytes(random.size(300));
  return random.chance(0.1) ? Buffer.alloc(random.size(10_000), STOWAWAY) : bytes;
}

/** A valid command. */
function command(random: Random): Argument[] {
  const keys = () => Array.from({ length: random.size(30) }, () => key(random));
  return random.pick<() => Argument[]>([
    () => ['GET', key(random)],
    () => ['SET', key(random), value(random)],
    () => ['SET', key(random), value(random), 'EX', random.pick(NUMBERS)],
    () => ['INCR', key(random)],
    () => ['APPEND', `f:app:${random.int(1000)}`, value(random)],
    () => ['MGET', ...keys()],
    () => ['MSET', ...keys().flatMap((one) => [one, value(random)])],
    () => ['DEL', ...keys()],
    () => ['EXISTS', ...keys()],
    () => ['LPUSH', `f:l:${random.int(500)}`, value(random)],
    () => ['LRANGE', `f:l:${random.int(500)}`, random.pick(NUMBERS), random.pick(NUMBERS)],
    () => ['HSET', key(random), 'a', value(random)],
    () => ['GETRANGE', key(random), random.pick(NUMBERS), random.pick(NUMBERS)],
    () => ['EVAL', 'return KEYS', random.pick(NUMBERS), key(random)],
    () => ['SORT', key(random), 'BY', 'nosort'],
    () => ['XADD', key(random), '*', 'f', value(random)],
    () => ['OBJECT', 'ENCODING', key(random)],
    () => ['SCAN', random.pick(NUMBERS), 'COUNT', random.pick(['1', '10', '-1', 'x'])],
    () => ['BLPOP', key(random), '0'],
    () => ['SUBSCRIBE', 'channel'],
    () => ['COMMAND', 'GETKEYS', 'GET', key(random)],
    () => ['CLUSTER', random.pick(['SLOTS', 'INFO', 'SHARDS', 'KEYSLOT', 'MYID', 'NODES'])],
    () => ['PING', value(random)],
    () => ['ECHO', value(random)],
    () => ['DBSIZE'],
    () => ['NOSUCH', value(random), value(random)],
  ])();
}

function pipeline(random: Random, most: number): Buffer {
  return Buffer.concat(Array.from({ length: random.size(most) }, () => encode(command(random))));
}

const PIPELINED = /^(M?GET|M?SET|DEL|EXISTS|INCR|PING|ECHO|NOSUCH)$/;

const WEIGHTED = KINDS.flatMap((kind) => Array.from({ length: kind[1] }, () => kind));

const CORPUS = [
  encode(['GET', 'f:1']),
  encode(['SET', 'f:2', 'value']),
  encode(['MSET', 'f:1', 'a', 'f:2', 'b']),
  encode(['HELLO', '3']),
  Buffer.from('PING\r\n'),
  Buffer.from('\r\n\r\n*-1\r\n*0\r\n'),
];

/** Of a quarter the bytes are as a decent client would send them, but for where they end. */
export function input(random: Random): Input {
  if (random.chance(0.25)) {
    const text = pipeline(random, 30).toString('latin1').replaceAll(LET_OUT, SMUGGLED);
    const bytes = Buffer.from(text, 'latin1');
    const end = random.chance(0.5) ? random.int(bytes.length) : bytes.length;
    return { kind: 'valid', pieces: cut(random, bytes.subarray(0, end)), mutated: false };
  }
  const [kind, , make] = random.pick(WEIGHTED);
  return { kind, pieces: cut(random, make(random)), mutated: true };
}
