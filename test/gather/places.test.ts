/** Commands that run on copies of all their keys, beside others who want or change the same keys. */

import assert from 'node:assert/strict';
import { after, before, describe, type TestContext, test } from 'node:test';
import { lockKey } from '../../src/command/reserved.ts';
import { slotOf } from '../../src/command/slot.ts';
import type { Step } from '../../src/gather/steps.ts';
import type { RawClient, Value } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import * as alike from './alike.ts';
import { KEYS } from './alike.ts';
import { Meddler, type Plan } from './meddler.ts';

const SLOT_OF_B = slotOf(Buffer.from('b'), 0, 1);

for (const server of await availableServers()) {
  describe(`places, ${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let other: RunningProxy;
    const meddler = new Meddler(server);

    before(async () => {
      cluster = await startCluster({ server, replicas: 0 });
      const settings = { 'crossSlot.level': 'all' };
      [proxy, other] = await Promise.all([
        startProxy({ cluster, settings, nodeFlags: meddler.flags }),
        startProxy({ cluster, settings }),
      ]);
    });
    after(async () => {
      await Promise.all([proxy?.stop(), other?.stop()]);
      await cluster?.stop();
      meddler.end();
    });

    const open = (t: TestContext, of = proxy) => alike.open(t, of);

    function portOf(key: string): Promise<number> {
      const bytes = Buffer.from(key);
      return cluster.ownerOf(slotOf(bytes, 0, bytes.length)).then(({ port }) => port);
    }

    /** Others give a command about its key, at a step. */
    async function others(
      step: Step,
      call: [name: string, key: string, ...string[]],
      { from = 0, times = 1 } = {},
    ): Promise<Plan> {
      return { step, from, times, calls: [[await portOf(call[1]), ...call]] };
    }

    test('scripts of two proxies on the same keys lose no update, and none is refused', async (t) => {
      const clients = await Promise.all(Array.from({ length: 8 }, (_, i) => open(t, i % 2 ? other : proxy)));
      await clients[0]!.call('DEL', ...KEYS);
      const script = `for _, key in ipairs(KEYS) do redis.call('INCR', key) end return redis.call('GET', KEYS[1])`;
      const sets = [
        ['a', 'b'],
        ['b', 'c', 'd'],
        ['c', 'a'],
      ];
      const replies = await Promise.all(
        clients.map(async (client, i) => {
          const keys = sets[i % sets.length]!;
          const said: Value[] = [];
          for (let n = 0; n < 12; n++) said.push(await client.ask('EVAL', script, keys.length, ...keys));
          return said;
        }),
      );
      assert.deepEqual(
        replies.flat().filter((reply) => reply instanceof Error),
        [],
      );
      const times = (key: string) => clients.filter((_, i) => sets[i % 3]!.includes(key)).length * 12;
      assert.deepEqual(
        await clients[0]!.ask('MGET', ...KEYS),
        KEYS.map((key) => `${times(key)}`),
      );
    });

    test('MSETNX sets all or nothing, whoever else writes', async (t) => {
      const plain = await open(t);
      const writers = [await open(t), await open(t), await open(t)];
      for (let i = 0; i < 25; i++) {
        await plain.call('DEL', ...KEYS);
        const won = await Promise.all([
          ...writers.map((client, w) => client.ask('MSETNX', 'a', w, 'b', w, 'c', w)),
          plain.ask('SETNX', 'b', 'plain'),
        ]);
        const values = await plain.ask('MGET', 'a', 'b', 'c');
        const winner = won.indexOf(1);
        assert.equal(won.filter((each) => each === 1).length, 1, `${won}`);
        assert.deepEqual(values, winner === 3 ? [null, 'plain', null] : Array(3).fill(`${winner}`));
      }
    });

    for (const step of ['relaxed: run', 'relaxed: verify', 'relaxed: write'] as const) {
      test(`a key that others change at the step '${step}' is read anew`, async (t) => {
        const client = await open(t);
        for (const key of ['a', 'b', 'c']) {
          await client.call('MSET', 'a', 1, 'b', 10, 'c', 100);
          meddler.plan(await others(step, ['INCRBY', key, '1000']));
          const script = `redis.call('SET', KEYS[1], KEYS[1]..redis.call('GET', KEYS[2])..redis.call('GET', KEYS[3]))`;
          await client.call('EVAL', script, 3, 'a', 'b', 'c');
          meddler.plan();
          // The last one is verified before the write, so what comes then comes after the script.
          const late = step === 'relaxed: write' && key !== 'a';
          const [b, c] = [key === 'b' && !late ? 1010 : 10, key === 'c' && !late ? 1100 : 100];
          assert.equal(await client.ask('GET', 'a'), `a${b}${c}`, key);
          if (key !== 'a') assert.equal(await client.ask('GET', key), key === 'b' ? '1010' : '1100');
        }
      });
    }

    test('what was written is put back when a later slot was changed by others, and all is done again', async (t) => {
      const client = await open(t);
      const script = `for _, key in ipairs(KEYS) do redis.call('APPEND', key, 'x') end redis.call('EXPIRE', KEYS[1], 100)`;
      await client.call('MSET', 'a', 1, 'b', 10, 'c', 100);
      // The second slot that is written is another's by then, and with it the keys.
      const plans = ['a', 'b', 'c'].map((key) => others('relaxed: write', ['APPEND', key, 'o'], { from: 1 }));
      const [, second] = await order(client, script);
      await client.call('MSET', 'a', 1, 'b', 10, 'c', 100);
      meddler.plan((await Promise.all(plans))[['a', 'b', 'c'].indexOf(second!)]!);
      assert.equal(await client.ask('EVAL', script, 3, 'a', 'b', 'c'), null);
      meddler.plan();
      const expected = ['1x', '10x', '100x'].map((value, i) =>
        'abc'[i] === second ? value.replace('x', 'ox') : value,
      );
      assert.deepEqual(await client.ask('MGET', 'a', 'b', 'c'), expected);
    });

    test('where it can not be put back the error says which keys are written', async (t) => {
      const client = await open(t);
      const script = `for _, key in ipairs(KEYS) do redis.call('APPEND', key, 'x') end`;
      const [first, second] = await order(client, script);
      await client.call('MSET', 'a', 1, 'b', 1, 'c', 1);
      meddler.plan(
        await others('relaxed: write', ['APPEND', second!, 'o'], { from: 1 }),
        await others('relaxed: undo', ['APPEND', first!, 'o']),
      );
      const reply = await client.ask('EVAL', script, 3, 'a', 'b', 'c');
      meddler.plan();
      assert.ok(reply instanceof Error);
      const [, written, unwritten] = /executed in part; written: (.*); not written: (.*) \(/.exec(
        reply.message,
      )!;
      assert.equal(written, first);
      assert.deepEqual(
        unwritten!.split(' ').sort(),
        ['a', 'b', 'c'].filter((key) => key !== first),
      );
      const values = { [first!]: '1xo', [second!]: '1o' };
      assert.deepEqual(
        await client.ask('MGET', 'a', 'b', 'c'),
        ['a', 'b', 'c'].map((key) => values[key] ?? '1'),
      );
    });

    test('slots that move from node to node meanwhile cost no update, and no error', async (t) => {
      const clients = await Promise.all([open(t), open(t)]);
      await clients[0]!.call('DEL', ...KEYS);
      const slots = ['a', 'b'].map((key) => slotOf(Buffer.from(key), 0, 1));
      let moving = true;
      const script = `redis.call('INCR', KEYS[1]) return redis.call('INCR', KEYS[2])`;
      const counting = clients.map(async (client) => {
        let done = 0;
        for (; moving || done < 10; done++) {
          const reply = await client.ask('EVAL', script, 2, 'a', 'b');
          assert.equal(typeof reply, 'number', String(reply));
        }
        return done;
      });
      const homes = await Promise.all(slots.map((slot) => cluster.ownerOf(slot)));
      for (const { port } of [homes[1]!, cluster.primaries[1]!, homes[0]!])
        for (const slot of slots) await cluster.moveSlot(slot, port);
      await cluster.moveSlot(slots[1]!, homes[1]!.port);
      moving = false;
      const total = (await Promise.all(counting)).reduce((sum, each) => sum + each, 0);
      assert.deepEqual(await clients[0]!.ask('MGET', 'a', 'b'), [`${total}`, `${total}`]);
    });

    test('a key that is locked is waited for, as long as the setting says', async (t) => {
      const hasty = await startProxy({
        cluster,
        settings: { 'crossSlot.level': 'all', 'crossSlot.waitFor': 100 },
      });
      t.after(() => hasty.stop());
      const clients = [await open(t, hasty), await open(t)] as const;
      await clients[0].call('DEL', ...KEYS);
      const lock = lockKey(SLOT_OF_B, Buffer.from('b'));
      await cluster.cli(await portOf('b'), 'SET', lock, 'somebody');
      const call = ['MSETNX', 'a', 1, 'b', 1] as const;
      assert.match(
        String(await clients[0].call(...call)),
        /^-TRYAGAIN slotless: 'msetnx' was not done: .*'crossSlot.waitFor' \(100 ms\)/,
      );
      assert.equal(await clients[0].ask('EXISTS', 'a', 'b'), 0);
      assert.equal(await cluster.cli(await portOf('b'), 'GET', lock), 'somebody');
      await cluster.cli(await portOf('b'), 'PEXPIRE', lock, 300);
      assert.equal(await clients[1].ask(...call), 1);
      assert.equal(await cluster.cli(await portOf('b'), 'EXISTS', lock), 0);
    });

    test('is done over again a bounded number of times', async (t) => {
      const client = await open(t);
      await client.call('MSET', 'a', 1, 'b', 1);
      meddler.plan(await others('relaxed: run', ['INCR', 'b'], { times: 1000 }));
      const reply = await client.ask('MSETNX', 'b', 1, 'c', 1);
      meddler.plan();
      assert.match(String(reply), /TRYAGAIN slotless: 'msetnx' was not done: .* 16 times/);
      assert.equal(await client.ask('GET', 'b'), '17');
    });

    async function order(client: RawClient, script: string): Promise<string[]> {
      await client.call('MSET', 'a', 1, 'b', 1, 'c', 1);
      const seen: string[] = [];
      for (const [i] of KEYS.slice(0, 3).entries()) {
        for (const key of ['a', 'b', 'c']) {
          if (seen.includes(key)) continue;
          // Whose change is noticed at the i-th write has not been written before.
          await client.call('MSET', 'a', 1, 'b', 1, 'c', 1);
          meddler.plan(await others('relaxed: write', ['APPEND', key, 'o'], { from: i }));
          await client.call('EVAL', script, 3, 'a', 'b', 'c');
          meddler.plan();
          if ((await client.ask('GET', key)) === '1xo') seen.splice(i - 1, 0, key);
        }
      }
      return seen;
    }
  });
}
