import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ROUTE } from '../src/command/command.ts';
import { slotOf } from '../src/command/slot.ts';
import {
  ANY,
  ASK_KEYS,
  BLOCKS,
  CROSS_SLOT,
  DOOR,
  dispatch,
  FAN_OUT,
  PATTERNS,
  PUBLISH,
  REFUSED,
  SPLIT,
  severalKeys,
  singleKey,
} from '../src/dispatch.ts';
import { framed, framedOf } from './command/framed.ts';
import { type Fixture, startAll, stopAll } from './command/tables.ts';

/** Where each call goes; `=key`: to the slot of that key. */
const CALLS: readonly [string, number | `=${string}`][] = [
  ['GET k', '=k'],
  ['get k', '=k'],
  ['SET {t}k v', '={t}k'],
  ['XADD s * f v', '=s'],
  ['OBJECT ENCODING k', '=k'],
  ['XGROUP CREATE s g $', '=s'],
  ['MGET a', '=a'],
  ['MGET {t}a {t}b', '={t}a'],
  ['MGET a b', SPLIT],
  ['MSET a 1 b 2', SPLIT],
  ['DEL a b', SPLIT],
  ['EXISTS a b', SPLIT],
  ['TOUCH a b', SPLIT],
  ['UNLINK a b', SPLIT],
  ['SINTER a b', CROSS_SLOT],
  ['SINTER {t}a {t}b', '={t}a'],
  ['RENAME a b', CROSS_SLOT],
  ['MSETNX a 1 b 2', CROSS_SLOT],
  ['ZUNIONSTORE {t}d 2 {t}a {t}b', '={t}d'],
  ['ZUNIONSTORE d 2 a b', CROSS_SLOT],
  ['EVAL script 1 k arg', '=k'],
  ['EVAL script 0', ANY],
  ['EVAL script 2 a b', CROSS_SLOT],
  ['EVAL script nonsense', ANY],
  ['SORT {t}k STORE {t}d', '={t}k'],
  ['SORT k STORE d', CROSS_SLOT],
  ['SORT {t}k BY nosort LIMIT 0 GET STORE {t}d', '={t}k'],
  ['SORT k STORE by STORE GET', CROSS_SLOT],
  ['SORT k BY w_*', PATTERNS],
  ['SORT k STORE d limit 0 1 get #', PATTERNS],
  ['SORT_RO {t}k BY nosort GET {t}o_*', PATTERNS],
  ['XREAD COUNT 1 STREAMS s 0', '=s'],
  ['XREAD BLOCK 0 STREAMS s 0', BLOCKS],
  ['XREADGROUP GROUP g c BLOCK 100 STREAMS s >', BLOCKS],
  ['DBSIZE', FAN_OUT],
  ['FLUSHALL', FAN_OUT],
  ['KEYS *', FAN_OUT],
  ['SCRIPT LOAD x', DOOR],
  ['SCRIPT KILL', FAN_OUT],
  ['CONFIG SET maxmemory 1', FAN_OUT],
  ['PING', DOOR],
  ['SCAN 0', DOOR],
  ['INFO', DOOR],
  ['CLIENT LIST', DOOR],
  ['CLUSTER SLOTS', DOOR],
  ['RANDOMKEY', DOOR],
  ['LOLWUT', ANY],
  ['ACL WHOAMI', ANY],
  ['MULTI', DOOR],
  ['MONITOR', DOOR],
  ['BLPOP k 0', BLOCKS],
  ['WAIT 0 0', BLOCKS],
  ['SUBSCRIBE c', DOOR],
  ['PUBSUB NUMSUB c', DOOR],
  ['PUBLISH c m', PUBLISH],
  ['SPUBLISH c m', PUBLISH],
  ['SHUTDOWN', REFUSED],
  ['DEBUG SLEEP 0', REFUSED],
  ['MIGRATE h 1 k 0 1', REFUSED],
  ['CLUSTER FAILOVER', REFUSED],
];

const NAMES: Record<number, string> = {
  [SPLIT]: 'SPLIT',
  [CROSS_SLOT]: 'CROSS_SLOT',
  [ANY]: 'ANY',
  [FAN_OUT]: 'FAN_OUT',
  [DOOR]: 'DOOR',
  [ASK_KEYS]: 'ASK_KEYS',
  [REFUSED]: 'REFUSED',
  [BLOCKS]: 'BLOCKS',
  [PATTERNS]: 'PATTERNS',
  [PUBLISH]: 'PUBLISH',
};

function where(code: number): string {
  return NAMES[code] ?? `slot ${code}`;
}

describe('dispatch', () => {
  let fixtures: Fixture[];
  before(async () => {
    fixtures = await startAll();
  });
  after(() => stopAll(fixtures));

  test('a call goes where its keys are, or where all of its kind go', () => {
    for (const { name, table } of fixtures) {
      for (const [call, expected] of CALLS) {
        const args = framed(...call.split(' '));
        const command = table.find(args);
        if (command === undefined) assert.fail(`${name}: ${call}`);
        assert.ok(command.takes(args.argc), `${name}: ${call}`);
        const key = typeof expected === 'string' ? Buffer.from(expected.slice(1)) : undefined;
        const code = key === undefined ? (expected as number) : slotOf(key, 0, key.length);
        assert.equal(where(dispatch(command, args)), where(code), `${name}: ${call}`);
      }
    }
  });

  test('what only the server knows the keys of is asked', () => {
    for (const { table } of fixtures) {
      const unknown = table.commands.filter((one) => one.keysUnknown && one.route === ROUTE.oneSlot);
      for (const command of unknown) {
        const args = framedOf([...command.name.split('|'), 'a', 'b', 'c', 'd']);
        assert.equal(where(dispatch(command, args)), 'ASK_KEYS', command.name);
      }
    }
  });

  test('every command has somewhere to go, whatever its arguments', () => {
    for (const { name, table } of fixtures) {
      for (const command of table.commands) {
        const least = Math.max(Math.abs(command.arity), 1);
        for (let argc = least; argc < least + 6; argc++) {
          if (!command.takes(argc)) continue;
          for (const word of ['k', '1', '-1', '99999999999', '', 'BLOCK', 'STORE', 'STREAMS']) {
            const words = [...command.name.split('|'), ...new Array<string>(argc).fill(word)].slice(0, argc);
            const code = dispatch(command, framedOf(words));
            assert.ok(
              (code >= 0 && code < 16384) || NAMES[code] !== undefined,
              `${name}: ${words.join(' ')} -> ${code}`,
            );
          }
        }
      }
    }
  });

  test('a call of several keys is known from one of a single key', () => {
    const [{ table }] = fixtures as [Fixture];
    const several = (call: string) => {
      const args = framed(...call.split(' '));
      return severalKeys(table.find(args)!, args);
    };
    for (const call of ['MGET {t}a {t}b', 'SINTER {t}a {t}b', 'EVAL s 2 {t}a {t}b', 'RENAME {t}a {t}b'])
      assert.equal(several(call), true, call);
    for (const call of ['GET a', 'MGET a', 'SINTER a', 'EVAL s 1 a', 'SORT a'])
      assert.equal(several(call), false, call);
    const single = (name: string) => singleKey(table.commands.find((one) => one.name === name)!);
    assert.deepEqual(['get', 'set', 'xadd', 'mget', 'eval', 'ping'].map(single), [
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});
