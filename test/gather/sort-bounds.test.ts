/** SORT across slots: what settings permit, what stays the server's affair, and what a node's language decides. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { slotOf } from '../../src/command/slot.ts';
import type { Crossing } from '../../src/gather/crossing.ts';
import { sort } from '../../src/gather/sort.ts';
import { encode } from '../../src/resp/write.ts';
import type { RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';

test('texts are put in order by the node, whose language the proxy does not know', async () => {
  const words = 'SORT k BY w_* ALPHA GET #'.split(' ').map((word) => Buffer.from(word));
  const asked: string[] = [];
  const reach = {
    resp: 2,
    ask: async (_slot: number, given: readonly unknown[]) => {
      const line = given.join(' ');
      asked.push(line);
      if (line.startsWith('MEMORY')) return encode(2, 100);
      if (line.startsWith('SORT')) return encode(2, ['1', '2', '3', '4']);
      return encode(2, [{ w_1: 'a', w_2: 'B', w_3: 'c', w_4: null }[String(given[1])] ?? null]);
    },
    // A language in which capitals stand behind small letters, and all of them upside down.
    atomically: async (_slot: number, commands: readonly (readonly unknown[])[]) => {
      asked.push(...commands.map((given) => given.filter((word) => !String(word).includes(':')).join(' ')));
      return [encode(2, 3), encode(2, ['B', 'c', 'a']), encode(2, 1)];
    },
    within: (_bytes: number, work: () => unknown) => work(),
  };
  const call = {
    words,
    keys: [{ at: 1, name: words[1], slot: 1, written: false }],
    reach,
    limits: { maxBytes: 1000 },
  } as unknown as Crossing;
  assert.equal(String(await sort(call)), String(encode(2, ['4', '2', '3', '1'])));
  assert.deepEqual(asked.slice(-3), ['RPUSH a B c', 'SORT ALPHA', 'UNLINK']);
});

type Ask = (line: string) => Promise<string>;

function asking(client: RawClient): Ask {
  return async (line) =>
    String(await client.call(...line.split(' ')))
      .replaceAll('\r\n', ' ')
      .trim();
}

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxies: RunningProxy[] = [];
    let client: RawClient;
    /** What a proxy of these settings replies to a line, as text. */
    let strictly: Ask;
    let sparingly: Ask;

    before(async () => {
      cluster = await startCluster({ server, replicas: 0 });
      proxies = await Promise.all(
        [
          {},
          { 'crossSlot.level': 'refuse', 'crossSlot.commands': 'sort_ro=reads' },
          { 'crossSlot.level': 'reads', 'crossSlot.maxBytes': 1024 },
        ].map((settings) => startProxy({ cluster, settings })),
      );
      const [usual, strict, sparing] = await Promise.all(proxies.map((proxy) => proxy.connect()));
      client = usual!;
      [strictly, sparingly] = [asking(strict!), asking(sparing!)];
      await client.call('RPUSH', '{t}k', 2, 1);
      await client.call('MSET', '{t}w_1', 9, '{t}w_2', 8, 'w_1', 1, 'w_2', 2);
    });

    after(async () => {
      await Promise.all(proxies.map((proxy) => proxy.stop()));
      await cluster?.stop();
    });

    const DENIED = /^-ERR (GET|BY) option of SORT denied in Cluster mode/;
    const allowsTagged = server.flavour === 'valkey';

    test('what may leave the slot goes by the level', async () => {
      assert.match(await strictly('SORT {t}k BY w_*'), /^-CROSSSLOT .*'sort' .*'crossSlot: reads'/);
      assert.match(await strictly('SORT {t}k GET w_* STORE {t}d'), /^-CROSSSLOT .*'crossSlot: writes'/);
      assert.match(await strictly('SORT {t}k STORE d'), /^-CROSSSLOT .*'crossSlot: writes'/);
      assert.equal(await strictly('SORT_RO {t}k BY w_*'), '*2 $1 1 $1 2');
      assert.match(await sparingly('SORT {t}k GET w_* STORE {t}d'), /^-CROSSSLOT .*'crossSlot: writes'/);
    });

    test('what lies in one slot is given to the server, and done if that refuses it and the level permits', async () => {
      assert.match(await strictly('SORT {t}k GET {t}w_*'), allowsTagged ? /^\*2 \$1 9 \$1 8$/ : DENIED);
      assert.match(await strictly('SORT {t}k GET w_* NOPE'), DENIED);
      assert.match(await strictly('SORT {t}k NOPE GET w_*'), /^-ERR syntax error/);
      assert.equal(await sparingly('SORT {t}k GET {t}w_*'), '*2 $1 9 $1 8');
      assert.equal(await sparingly('SORT {t}k BY {t}w_* GET #'), '*2 $1 2 $1 1');
    });

    test('what is read, and what is replied of it, is bounded', async () => {
      await client.call('RPUSH', 'long', ...Array.from({ length: 50 }, () => 'x'.repeat(100)));
      await client.call('RPUSH', 'few', ...Array.from({ length: 50 }, () => 'x'));
      await client.call('SET', 'big_x', 'x'.repeat(900));
      await client.call('MSET', 'part_1', 'x'.repeat(700), 'part_2', 'x'.repeat(700));
      const tooMuch = /^-ERR slotless: the command would copy \d+ bytes .*'crossSlot.maxBytes' permits 1024/;
      for (const line of [
        'SORT long ALPHA GET #',
        'SORT long BY w_*',
        'SORT {t}k GET part_*',
        'SORT {t}k BY part_*',
        'SORT few BY nosort GET big_*',
      ])
        assert.match(await sparingly(line), tooMuch, line);
      assert.match(await sparingly('SORT few BY nosort LIMIT 0 1 GET big_*'), /^\*1 \$900 /);
    });

    test('a slot on the move is read wherever its keys are', async () => {
      const numbers = Array.from({ length: 20 }, (_, i) => i);
      await client.call('RPUSH', 'moving', ...numbers);
      await client.call('MSET', ...numbers.flatMap((i) => (i % 3 === 0 ? [] : [`{mv}${i}`, 100 - i])));
      const slot = slotOf(Buffer.from('mv'), 0, 2);
      const owner = await cluster.ownerOf(slot);
      const target = cluster.primaries.find(({ port }) => port !== owner.port)!;
      const calls = ['BY {mv}*', 'GET {mv}* DESC', 'BY {mv}* ALPHA LIMIT 7 5 GET # GET {mv}*'];
      const sorted = () =>
        Promise.all(calls.map((options) => client.ask('SORT', 'moving', ...options.split(' '))));
      const expected = await sorted();
      await cluster.beginMove(slot, target.port);
      await cluster.moveKeys(slot, owner.port, target.port, 7);
      assert.deepEqual(await sorted(), expected);
      await cluster.moveSlot(slot, target.port);
      assert.deepEqual(await sorted(), expected);
    });

    test('in a transaction the server refuses what it cannot do, and does the rest', async () => {
      const exec = async (call: string) => {
        const replies = await client.pipeline([['MULTI'], call.split(' '), ['EXEC']]);
        return String(replies[2]).replace('*1\r\n', '');
      };
      assert.match(await exec('SORT {t}k BY w_*'), DENIED);
      assert.match(await exec('SORT {t}k GET {t}w_*'), allowsTagged ? /^\*2\r\n\$1\r\n9/ : DENIED);
    });

    test('nothing of the proxy’s own is left behind, and the destination has no time to live', async () => {
      await client.call('SET', 'd', 'x', 'EX', 1000);
      for (const options of [
        'BY w_* ALPHA',
        'GET #',
        'BY w_* STORE d',
        'ALPHA GET # STORE d',
        'GET x STORE e',
      ])
        await client.call('SORT', '{t}k', ...options.split(' '));
      const keys = await Promise.all(
        cluster.primaries.map(({ port }) => cluster.cli(port, 'KEYS', 'slotless:*')),
      );
      assert.deepEqual(keys, [[], [], []]);
      assert.equal(await client.ask('TTL', 'd'), -1);
      assert.deepEqual(await client.ask('LRANGE', 'e', 0, -1), ['', '']);
    });
  });
}
