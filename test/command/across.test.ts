/** How commands go whose keys lie in several slots, by the servers' own tables. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  keysAcross,
  keysTold,
  LEVELS,
  levelOf,
  PROMISES,
  promiseOf,
  wayAcross,
} from '../../src/command/across.ts';
import { CROSS, findKeys, Keys, slotOfKeys } from '../../src/command/keys.ts';
import { slotOf } from '../../src/command/slot.ts';
import type { CommandTable } from '../../src/command/table.ts';
import { framedOf } from './framed.ts';
import { type Fixture, startAll, stopAll } from './tables.ts';

/** A call, its way, the least level, and its keys: a `+` behind those that are written. */
const CALLS = `
  SINTER a b c                                   | copy    | reads  | a b c
  SINTERCARD 2 a b LIMIT 1                       | copy    | reads  | a b
  SUNIONSTORE d a b d                            | copy    | writes | d+ a b d
  ZUNION 2 a b WEIGHTS 1 2                       | copy    | reads  | a b
  ZINTERSTORE d 2 a b                            | copy    | writes | d+ a b
  ZRANGESTORE d a 0 1                            | copy    | writes | d+ a
  PFCOUNT a b                                    | copy    | reads  | a b
  PFMERGE d a b                                  | copy    | writes | d+ a b
  BITOP AND d a b                                | copy    | writes | d+ a b
  LCS a b                                        | copy    | reads  | a b
  COPY a b REPLACE                               | copy    | writes | a b+
  GEOSEARCHSTORE d a FROMMEMBER m BYRADIUS 1 m   | copy    | writes | d+ a
  GEORADIUS a 1 1 1 m STORE d                    | copy    | writes | a d+
  GEORADIUSBYMEMBER a m 1 m STORE b STOREDIST d  | copy    | writes | a d+
  SORT a BY w* STORE d                           | sort    | writes | a d+
  LMPOP 2 a b LEFT                               | pop     | writes | a+ b+
  ZMPOP 2 a b MIN                                | pop     | writes | a+ b+
  BLPOP a b 0                                    | pop     | writes | a+ b+
  RENAME a b                                     | move    | writes | a+ b+
  RENAMENX a b                                   | move    | writes | a+ b+
  SMOVE a b m                                    | move    | writes | a+ b+
  LMOVE a b LEFT LEFT                            | move    | writes | a+ b+
  RPOPLPUSH a b                                  | move    | writes | a+ b+
  BLMOVE a b LEFT LEFT 0                         | move    | writes | a+ b+
  XREAD STREAMS a b 0 0                          | streams | reads  | a b
  MSETNX a 1 b 2                                 | relaxed | all    | a+ b+
  EVAL x 2 a b c                                 | relaxed | all    | a+ b+
  EVAL_RO x 2 a b                                | relaxed | all    | a b
  FCALL f 2 a b                                  | relaxed | all    | a+ b+
  WATCH a b                                      | never   | reads  | a b
`;

/** Arguments that make no sense: any server says what is wrong. */
const SENSELESS = [
  'ZUNION 3 a b',
  'ZUNIONSTORE d x a b',
  'SINTERCARD -1 a b',
  'XREAD STREAMS a b 0',
  'EVAL x 3 a b',
];

let fixtures: Fixture[];
before(async () => {
  fixtures = await startAll();
});
after(() => stopAll(fixtures));

function call(table: CommandTable, line: string) {
  const words = line.trim().split(/ +/);
  const command = table.byName(words[0]!.toLowerCase())!;
  const args = framedOf(words);
  return { command, args, words, keys: keysAcross(command, args) };
}

describe('commands with keys in several slots', () => {
  test('go the way that their table, or their key specs, tell', () => {
    for (const { table, name } of fixtures) {
      for (const row of CALLS.trim().split('\n')) {
        const [line, way, level, listed] = row.split('|').map((part) => part.trim());
        const { command, keys } = call(table, line!);
        const found = wayAcross(command, keys);
        assert.equal(found, way, `${line} (${name})`);
        assert.equal(levelOf(found, keys), level, `${line} (${name})`);
        const shown = keys.map((key) => `${key.name}${key.written ? '+' : ''}`).join(' ');
        assert.equal(shown, listed, `${line} (${name})`);
      }
    }
  });

  test('have keys at their places, with their slots', () => {
    for (const { table } of fixtures) {
      for (const row of CALLS.trim().split('\n')) {
        const { keys, words, command, args } = call(table, row.split('|')[0]!);
        assert.equal(slotOfKeys(command, args), CROSS, row);
        for (const { at, name, slot } of keys) {
          assert.equal(String(name), words[at]);
          assert.equal(slot, slotOf(name, 0, name.length));
        }
        const found = new Keys();
        findKeys(command, args, found);
        assert.deepEqual(keys.map(({ at }) => at).sort(), [...found.at.subarray(0, found.count)].sort(), row);
      }
    }
  });

  test('that make no sense have none', () => {
    for (const { table } of fixtures)
      for (const line of SENSELESS) assert.deepEqual(call(table, line).keys, [], line);
  });

  test('are promised what their way and what they write allows', () => {
    assert.equal(promiseOf('copy', 'reads'), PROMISES.read);
    assert.equal(promiseOf('sort', 'writes'), PROMISES.store);
    assert.equal(promiseOf('move', 'writes'), PROMISES.move);
    assert.deepEqual(LEVELS, ['refuse', 'reads', 'writes', 'all']);
  });
});

describe('keys that a server tells', () => {
  const args = framedOf(['mod.told', 'x', 'd', 'a', 'd', 'y']);
  const told = (...keys: [string, ...string[]][]) =>
    keysTold(
      args,
      keys.map(([name, ...flags]) => [Buffer.from(name), flags]),
    )?.map(({ at, written }) => `${at}${written ? '+' : ''}`);

  test('are where their names stand, and written where their flags say so', () => {
    assert.deepEqual(told(['a', 'RO', 'ACCESS']), ['3']);
    assert.deepEqual(told(['a', 'RW', 'UPDATE'], ['y', 'OW']), ['3+', '5+']);
    assert.deepEqual(told(['d', 'RM'], ['d', 'RM']), ['2+', '4+']);
  });

  test('are not guessed at where a name stands elsewhere as well', () => {
    assert.equal(told(['d', 'OW']), undefined);
    assert.equal(told(['not there', 'OW']), undefined);
  });
});
