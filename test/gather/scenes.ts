/**
 * Commands across slots in whose midst somebody dies: what is there before, and what the command changes.
 *
 * Together they pass every step there is (see src/gather/steps.ts). Their keys lie on three primaries: `a` in the
 * slots of the third, `b` of the first, `c` of the second.
 */

import type { Step } from '../../src/gather/steps.ts';
import type { Argument } from '../support/client.ts';

/** A command for the owner of a key. */
type Meddling = readonly [key: string, ...words: string[]];

export interface Scene {
  readonly way: 'copy' | 'sort' | 'pop' | 'move' | 'relaxed';
  readonly call: readonly Argument[];
  /** What is there before. */
  readonly before: readonly (readonly Argument[])[];
  /** All keys, the one that is written or gains first. */
  readonly keys: readonly string[];
  /** The second key loses what the first gains: if it has lost it, the first has it. */
  readonly moves?: true;
  /** Somebody else changes keys when a step is passed: from which time on (the first is 0), and what. */
  readonly meddles?: { readonly step: Step; readonly from: number; readonly calls: readonly Meddling[] };
  /** What makes of `before` states in which a key may be left as well. */
  readonly between?: readonly (readonly (readonly Argument[])[])[];
  /** Of the proxy. */
  readonly settings?: Readonly<Record<string, string | number>>;
}

/** The ways whose scenes are played. */
export const READY: readonly Scene['way'][] = ['copy', 'move', 'sort', 'pop', 'relaxed'];

const many = (count: number) => Array.from({ length: count }, (_, i) => `member ${i}`);
const scored = (count: number) => many(count).flatMap((member, i) => [i, member]);
const LATE = 4102444800000;
/** A key of more than that is poured from node to node. */
const POURS = { streamAbove: '64kb' };

const ALL: readonly Scene[] = [
  {
    way: 'copy',
    call: ['SUNIONSTORE', 'a', 'b', 'c'],
    before: [
      ['SADD', 'a', 'old'],
      ['SADD', 'b', 1, 2],
      ['SADD', 'c', 2, 3],
    ],
    keys: ['a', 'b', 'c'],
  },
  {
    way: 'copy',
    call: ['ZRANGESTORE', 'b', 'a', 0, 9],
    before: [
      ['ZADD', 'a', ...scored(300)],
      ['SET', 'b', 'old'],
    ],
    keys: ['b', 'a'],
  },
  {
    way: 'copy',
    call: ['ZRANGESTORE', 'b', 'a', 0, -1],
    before: [
      ['ZADD', 'a', ...scored(3000)],
      ['SET', 'b', 'old', 'PXAT', LATE],
    ],
    keys: ['b', 'a'],
    settings: POURS,
  },
  {
    way: 'copy',
    call: ['COPY', 'c', 'b', 'REPLACE'],
    before: [
      ['SADD', 'c', ...many(5000)],
      ['SET', 'b', 'old', 'PXAT', LATE],
    ],
    keys: ['b', 'c'],
    settings: POURS,
  },
  {
    way: 'copy',
    call: ['COPY', 'a', 'c', 'REPLACE'],
    before: [
      ['RPUSH', 'a', 1, 2, 3],
      ['PEXPIREAT', 'a', LATE],
      ['SET', 'c', 'old'],
    ],
    keys: ['c', 'a'],
  },
  {
    way: 'copy',
    call: ['PFMERGE', 'c', 'a', 'b'],
    before: [
      ['PFADD', 'a', 1, 2],
      ['PFADD', 'b', 3],
      ['PFADD', 'c', 4],
    ],
    keys: ['c', 'a', 'b'],
  },
  {
    way: 'copy',
    call: ['SINTERSTORE', 'c', 'a', 'b'],
    before: [
      ['SADD', 'a', 1],
      ['SADD', 'b', 2],
      ['SADD', 'c', 3],
    ],
    keys: ['c', 'a', 'b'],
  },
  {
    way: 'copy',
    call: ['ZUNION', 2, 'a', 'b', 'WITHSCORES'],
    before: [
      ['ZADD', 'a', 1, 'm'],
      ['ZADD', 'b', 2, 'm'],
    ],
    keys: ['a', 'b'],
  },
  {
    way: 'move',
    call: ['RENAME', 'b', 'a'],
    before: [
      ['RPUSH', 'b', 1, 2, 3],
      ['PEXPIREAT', 'b', LATE],
      ['SET', 'a', 'old'],
    ],
    keys: ['a', 'b'],
    moves: true,
  },
  {
    way: 'move',
    call: ['RENAME', 'c', 'a'],
    before: [
      ['SADD', 'c', ...many(5000)],
      ['PEXPIREAT', 'c', LATE],
      ['SET', 'a', 'old'],
    ],
    keys: ['a', 'c'],
    moves: true,
    settings: POURS,
  },
  {
    way: 'move',
    call: ['RENAMENX', 'b', 'a'],
    before: [['HSET', 'b', 'f', 'v']],
    keys: ['a', 'b'],
    moves: true,
  },
  {
    way: 'move',
    call: ['SMOVE', 'b', 'c', 'x'],
    before: [
      ['SADD', 'b', 'x', 'y'],
      ['SADD', 'c', 'z'],
    ],
    keys: ['c', 'b'],
    moves: true,
  },
  {
    way: 'move',
    call: ['SMOVE', 'b', 'c', 'x'],
    before: [
      ['SADD', 'b', 'x', 'y'],
      ['SADD', 'c', 'z'],
    ],
    meddles: { step: 'move: remove', from: 0, calls: [['b', 'SREM', 'b', 'x']] },
    between: [
      [
        ['SREM', 'b', 'x'],
        ['SADD', 'c', 'x'],
      ],
    ],
    keys: ['c', 'b'],
  },
  {
    way: 'move',
    call: ['LMOVE', 'a', 'c', 'LEFT', 'RIGHT'],
    before: [
      ['RPUSH', 'a', 'x', 'y'],
      ['RPUSH', 'c', 'z'],
    ],
    keys: ['c', 'a'],
    moves: true,
  },
  {
    way: 'move',
    call: ['RPOPLPUSH', 'a', 'b'],
    before: [['RPUSH', 'a', 'x']],
    keys: ['b', 'a'],
    moves: true,
  },
  {
    way: 'move',
    call: ['BLMOVE', 'c', 'b', 'LEFT', 'RIGHT', 0],
    before: [['RPUSH', 'c', 'x', 'y']],
    keys: ['b', 'c'],
    moves: true,
  },
  {
    way: 'sort',
    call: ['SORT', 'a', 'BY', 'w*', 'GET', '#', 'GET', 'w*', 'STORE', 'b'],
    before: [
      ['RPUSH', 'a', 1, 2, 3],
      ['MSET', 'w1', 3, 'w2', 2, 'w3', 1],
      ['SET', 'b', 'old'],
    ],
    keys: ['b', 'a'],
  },
  {
    way: 'sort',
    call: ['SORT', 'a', 'BY', 'w*', 'ALPHA'],
    before: [
      ['RPUSH', 'a', 1, 2, 3],
      ['MSET', 'w1', 'z', 'w2', 'y', 'w3', 'x'],
    ],
    keys: ['a', 'w1'],
  },
  {
    way: 'pop',
    call: ['LMPOP', 2, 'a', 'b', 'LEFT'],
    before: [['RPUSH', 'b', 'x', 'y']],
    keys: ['b', 'a'],
  },
  {
    way: 'relaxed',
    call: ['MSETNX', 'a', 1, 'b', 2, 'c', 3],
    before: [],
    keys: ['a', 'b', 'c'],
    settings: { 'crossSlot.level': 'all' },
  },
  {
    way: 'relaxed',
    call: ['MSETNX', 'a', 1, 'b', 2, 'c', 3],
    before: [],
    meddles: {
      step: 'relaxed: write',
      from: 1,
      calls: [
        ['a', 'SETNX', 'a', '9'],
        ['b', 'SETNX', 'b', '9'],
        ['c', 'SETNX', 'c', '9'],
      ],
    },
    between: [[['MSET', 'a', 1, 'b', 2, 'c', 3]], [['MSET', 'a', 9, 'b', 9, 'c', 9]]],
    keys: ['a', 'b', 'c'],
    settings: { 'crossSlot.level': 'all' },
  },
  {
    way: 'relaxed',
    call: [
      'EVAL',
      "redis.call('SET',KEYS[1],redis.call('GET',KEYS[2])) redis.call('INCR',KEYS[3])",
      3,
      'a',
      'b',
      'c',
    ],
    before: [['MSET', 'a', 1, 'b', 2, 'c', 3]],
    keys: ['a', 'b', 'c'],
    settings: { 'crossSlot.level': 'all' },
  },
];

export const SCENES: readonly Scene[] = ALL.filter(({ way }) => READY.includes(way));

export function titleOf({ call, meddles, settings }: Scene): string {
  const words = call.map((word) => String(word).slice(0, 30)).join(' ');
  const others = meddles === undefined ? '' : ', meddled with';
  return words + others + (settings === undefined ? '' : ` (${JSON.stringify(settings)})`);
}
