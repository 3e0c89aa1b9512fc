/** A script or a function that one shard knows all know: those that join, restart empty or are promoted, too. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import slotOf from 'cluster-key-slot';
import { type Argument, connect, type RawClient } from '../support/client.ts';
import { type Cluster, type Node, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { availableServers } from '../support/servers.ts';
import { until } from '../support/wait.ts';

const APPEND = "return redis.call('APPEND',KEYS[1],ARGV[1])";
const LIBRARY =
  "#!lua name=lib\nredis.register_function('append', function(k, a) return redis.call('APPEND',k[1],a[1]) end)";
const OTHER = "#!lua name=other\nredis.register_function('other', function() return 'other' end)";
const NOSCRIPT = /^-NOSCRIPT No matching script\./;

const shaOf = (text: string) => createHash('sha1').update(text).digest('hex');
let texts = 0;
/** A text that nobody has seen. */
const fresh = () => `${APPEND} -- ${texts++}`;

for (const server of await availableServers()) {
  describe(`${server.flavour} ${server.version}`, () => {
    let cluster: Cluster;
    let proxy: RunningProxy;
    let pair: RunningProxy;
    let client: RawClient;
    const used = new Set<number>();

    before(async () => {
      cluster = await startCluster({ server, primaries: 3, replicas: 1 });
      [proxy, pair] = await Promise.all([
        startProxy({ cluster }),
        startProxy({ cluster, settings: { workers: 2 } }),
      ]);
      client = await proxy.connect();
    });

    after(async () => {
      client?.destroy();
      await Promise.all([proxy?.stop(), pair?.stop()]);
      await cluster?.stop();
    });

    /** A key that a node owns, in a slot that no other test uses. */
    const keyAt = async (node: Node): Promise<string> => {
      for (let i = 0; ; i++) {
        const key = `k:${i}`;
        const slot = slotOf(key);
        if (used.has(slot) || (await cluster.ownerOf(slot)).port !== node.port) continue;
        used.add(slot);
        return key;
      }
    };
    const calls = async (node: Node, name: string) => {
      const stats = String(await cluster.cli(node.port, 'INFO', 'commandstats'));
      return Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
    };
    const pipeline = async (commands: Argument[][], one = client) =>
      (await one.pipeline(commands)).map((reply) => String(reply));

    test('what was evaluated on one shard is known to the others', async () => {
      const text = fresh();
      const [here, there] = [cluster.primaries[0]!, cluster.primaries[1]!];
      await client.ask('EVAL', text, 1, await keyAt(here), 'x');
      assert.equal(await client.ask('EVALSHA', shaOf(text), 1, await keyAt(there), 'xy'), 2);
      assert.deepEqual(await cluster.cli(there.port, 'SCRIPT', 'EXISTS', shaOf(text)), [1]);
    });

    test('SCRIPT EXISTS says what can be called, and has it loaded where it is missing', async () => {
      const text = fresh();
      await client.ask('EVAL', text, 1, await keyAt(cluster.primaries[0]!), 'x');
      assert.deepEqual(await client.ask('SCRIPT', 'EXISTS', shaOf(text), 'f'.repeat(40)), [1, 0]);
      for (const { port } of cluster.primaries)
        assert.deepEqual(await cluster.cli(port, 'SCRIPT', 'EXISTS', shaOf(text)), [1]);
    });

    test('SCRIPT LOAD reaches replicas, and is done without one that does not answer', async () => {
      const replica = cluster.nodes.find(({ role }) => role === 'replica')!;
      const text = fresh();
      await client.ask('SCRIPT', 'LOAD', text);
      await until('the replica to have the script', async () => {
        const [has] = (await cluster.cli(replica.port, 'SCRIPT', 'EXISTS', shaOf(text))) as number[];
        return has === 1;
      });
      cluster.pause(replica.port);
      const next = fresh();
      assert.equal(await client.ask('SCRIPT', 'LOAD', next), shaOf(next));
      cluster.resume(replica.port);
    });

    test('after SCRIPT FLUSH at a node a script is loaded again', async () => {
      const node = cluster.primaries[0]!;
      const [text, key] = [fresh(), await keyAt(node)];
      await client.ask('SCRIPT', 'LOAD', text);
      await client.ask('EVALSHA', shaOf(text), 1, key, 'x');
      await cluster.cli(node.port, 'SCRIPT', 'FLUSH');
      assert.equal(await client.ask('EVALSHA', shaOf(text), 1, key, 'x'), 2);
      assert.equal(await client.ask('EVALSHA', shaOf(text), 1, key, 'x'), 3);
    });

    test('after it nothing that was sent behind is overtaken: the error is the answer', async () => {
      const node = cluster.primaries[0]!;
      const [text, key, other] = [fresh(), await keyAt(node), await keyAt(node)];
      const call = (on: string): Argument[] => ['EVALSHA', shaOf(text), 1, on, 'a'];
      await client.ask('SCRIPT', 'LOAD', text);
      await client.ask('EVALSHA', shaOf(text), 1, other, 'a');
      await cluster.cli(node.port, 'SCRIPT', 'FLUSH');
      const [first, ...rest] = await pipeline([call(key), ['APPEND', key, 'b'], ['GET', key], call(other)]);
      assert.match(first!, NOSCRIPT);
      assert.deepEqual(rest, [':1\r\n', '$1\r\nb\r\n', ':2\r\n']);
      const again = [call(key), ['APPEND', key, 'b'], ['GET', key]];
      assert.deepEqual(await pipeline(again), [':2\r\n', ':3\r\n', '$3\r\nbab\r\n']);
    });

    test('SCRIPT FLUSH through the proxy is for all shards, and for good', async () => {
      const text = fresh();
      await client.ask('EVAL', text, 1, 'flushed', 'x');
      await client.ask('SCRIPT', 'FLUSH');
      for (const node of cluster.primaries)
        assert.match(String(await client.call('EVALSHA', shaOf(text), 1, await keyAt(node), 'x')), NOSCRIPT);
      assert.deepEqual(await client.ask('SCRIPT', 'EXISTS', shaOf(text)), [0]);
    });

    test('a replica that lacks it takes over: EVALSHA goes on, in order', async () => {
      const text = fresh();
      const old = cluster.primaries[2]!;
      const key = await keyAt(old);
      await client.ask('EVAL', text, 1, key, 'x');
      const node = await cluster.failover(old.port);
      assert.deepEqual(await cluster.cli(node.port, 'SCRIPT', 'EXISTS', shaOf(text)), [0]);
      const calls: Argument[][] = [
        ['EVALSHA', shaOf(text), 1, key, 'y'],
        ['APPEND', key, 'z'],
        ['GET', key],
      ];
      assert.deepEqual(await pipeline(calls), [':2\r\n', ':3\r\n', '$3\r\nxyz\r\n']);
    });

    test('scripts and functions without keys run in one place, whoever calls', async () => {
      const owner = await cluster.ownerOf(0);
      const before = await calls(owner, 'eval');
      const clients = await Promise.all(Array.from({ length: 6 }, () => proxy.connect()));
      for (const one of clients) assert.equal(await one.ask('EVAL', 'return 7', 0), 7);
      assert.equal((await calls(owner, 'eval')) - before, 6);
      for (const one of clients) one.destroy();
    });

    test('a user who may call scripts but not load them is served', async () => {
      const node = cluster.primaries[1]!;
      const [text, key] = [fresh(), await keyAt(node)];
      await client.ask('EVAL', text, 1, await keyAt(cluster.primaries[0]!), 'x');
      await client.ask('ACL', 'SETUSER', 'ann', 'reset', 'on', '>pw', '~*', '+evalsha', '+append', '+get');
      const ann = await proxy.connect();
      await ann.ask('AUTH', 'ann', 'pw');
      assert.equal(await ann.ask('EVALSHA', shaOf(text), 1, key, 'xyz'), 3);
      assert.match(String(await ann.call('SCRIPT', 'LOAD', text)), /^-NOPERM/);
      ann.destroy();
    });

    test('a FUNCTION LOAD that not all shards took is taken back, and said', async () => {
      await client.ask('FUNCTION', 'FLUSH');
      const [one, two] = [cluster.primaries[0]!, cluster.primaries[1]!];
      await cluster.cli(one.port, 'FUNCTION', 'LOAD', OTHER.replace('name=other', 'name=mine'));
      const said = String(await client.call('FUNCTION', 'LOAD', OTHER));
      assert.match(
        said,
        new RegExp(
          `^-ERR slotless: part node 127.0.0.1:${one.port} \\(taken back at .*:${two.port}.*\\) failed: ERR Function`,
        ),
      );
      assert.deepEqual(await cluster.cli(two.port, 'FUNCTION', 'LIST'), []);
      const replaced = String(await client.call('FUNCTION', 'LOAD', 'REPLACE', OTHER));
      assert.match(replaced, new RegExp(`node 127.0.0.1:${one.port} \\(done at .*:${two.port}.*\\) failed:`));
      await client.ask('FUNCTION', 'FLUSH');
      assert.deepEqual(await client.ask('FUNCTION', 'LIST'), []);
    });

    describe('a shard that joins', () => {
      let joined: Node;
      let script: string;

      before(async () => {
        script = fresh();
        await client.ask('SCRIPT', 'LOAD', script);
        await client.ask('FUNCTION', 'LOAD', LIBRARY);
        await client.ask('FUNCTION', 'LOAD', OTHER);
        joined = await cluster.join();
      });

      /** A key whose slot has just moved there, with the value v. */
      const movedKey = async () => {
        const key = await keyAt(cluster.primaries[0]!);
        await client.ask('SET', key, 'v');
        await cluster.moveSlot(slotOf(key), joined.port);
        return key;
      };

      test('scripts are loaded there ahead of their call, though its slot has only just moved', async () => {
        const key = await movedKey();
        assert.deepEqual(await cluster.cli(joined.port, 'SCRIPT', 'EXISTS', shaOf(script)), [0]);
        const calls: Argument[][] = [
          ['EVALSHA', shaOf(script), 1, key, 'a'],
          ['APPEND', key, 'b'],
          ['EVALSHA', shaOf(script), 1, key, 'c'],
          ['GET', key],
        ];
        assert.deepEqual(await pipeline(calls), [':2\r\n', ':3\r\n', ':4\r\n', '$4\r\nvabc\r\n']);
      });

      test('functions are copied there before their call, and what is there stays', async () => {
        const own = "#!lua name=own\nredis.register_function('own', function() return 'own' end)";
        await cluster.cli(joined.port, 'FUNCTION', 'LOAD', own);
        const key = await movedKey();
        const calls: Argument[][] = [
          ['FCALL', 'append', 1, key, 'a'],
          ['APPEND', key, 'b'],
          ['FCALL', 'append', 1, key, 'c'],
          ['GET', key],
        ];
        assert.deepEqual(await pipeline(calls), [':2\r\n', ':3\r\n', ':4\r\n', '$4\r\nvabc\r\n']);
        assert.equal(await client.ask('FCALL', 'other', 1, key), 'other');
        assert.equal(await client.ask('FCALL', 'own', 1, key), 'own');
        assert.match(String(await client.call('FCALL', 'none', 1, key)), /^-ERR Function not found\r\n$/);
      });

      test('a slot that is still moving is no other', async () => {
        await cluster.cli(joined.port, 'FUNCTION', 'FLUSH');
        await cluster.cli(joined.port, 'SCRIPT', 'FLUSH');
        const started = await startProxy({ cluster });
        const one = await started.connect();
        await one.ask('SCRIPT', 'LOAD', script);
        await cluster.cli(joined.port, 'SCRIPT', 'FLUSH');
        const key = await keyAt(cluster.primaries[0]!);
        await cluster.beginMove(slotOf(key), joined.port);
        const calls: Argument[][] = [
          ['FCALL', 'append', 1, key, 'a'],
          ['EVALSHA', shaOf(script), 1, key, 'b'],
          ['APPEND', key, 'c'],
          ['GET', key],
        ];
        assert.deepEqual(await pipeline(calls, one), [':1\r\n', ':2\r\n', ':3\r\n', '$3\r\nabc\r\n']);
        await cluster.moveSlot(slotOf(key), joined.port);
        one.destroy();
        await started.stop();
      });

      test('many who find a function missing there cause one copy', async () => {
        const key = await movedKey();
        await client.ask('FCALL', 'append', 1, key, '');
        await cluster.cli(joined.port, 'FUNCTION', 'FLUSH');
        const before = await calls(joined, 'function\\|load');
        const clients = await Promise.all(Array.from({ length: 40 }, () => proxy.connect()));
        const said = await Promise.all(clients.map((one) => one.ask('FCALL', 'other', 1, key)));
        assert.deepEqual(new Set(said), new Set(['other']));
        // Two libraries.
        assert.equal((await calls(joined, 'function\\|load')) - before, 2);
        for (const one of clients) one.destroy();
      });

      test('a flood of calls there loads a script once', async () => {
        const text = fresh();
        await client.ask('EVAL', text, 1, await keyAt(cluster.primaries[0]!), 'x');
        const key = await movedKey();
        const before = await calls(joined, 'script\\|load');
        const flood = Array.from({ length: 1000 }, (): Argument[] => ['EVALSHA', shaOf(text), 1, key, 'x']);
        const said = await pipeline(flood);
        assert.deepEqual(
          said,
          flood.map((_, i) => `:${i + 2}\r\n`),
        );
        assert.equal((await calls(joined, 'script\\|load')) - before, 1);
      });

      test('FUNCTION LIST and DELETE speak of what the cluster has, whichever shard lacks it', async () => {
        await cluster.cli(joined.port, 'FUNCTION', 'FLUSH');
        const names = ((await client.ask('FUNCTION', 'LIST')) as string[][]).map(([, name]) => name);
        assert.deepEqual(names.sort(), ['lib', 'other']);
        assert.equal(await client.ask('FUNCTION', 'DELETE', 'other'), 'OK');
        assert.match(String(await client.call('FUNCTION', 'DELETE', 'other')), /^-ERR Library not found/);
      });
    });

    describe('with two workers', () => {
      let clients: RawClient[];

      before(async () => {
        clients = await Promise.all(Array.from({ length: 32 }, () => connect(pair.port)));
      });

      after(() => {
        for (const one of clients) one.destroy();
      });

      test('what one client has evaluated all can call, on every shard', async () => {
        const text = fresh();
        const keys = await Promise.all(cluster.primaries.slice(0, 3).map((node) => keyAt(node)));
        await clients[0]!.ask('EVAL', text, 1, keys[0]!, 'x');
        for (const key of keys) {
          await client.ask('DEL', key);
          const said = await Promise.all(clients.map((one) => one.ask('EVALSHA', shaOf(text), 1, key, 'x')));
          assert.deepEqual(
            said.map(Number).sort((a, b) => a - b),
            clients.map((_, i) => i + 1),
          );
        }
      });

      test('what one has flushed is gone for all', async () => {
        const text = fresh();
        await clients[1]!.ask('SCRIPT', 'LOAD', text);
        for (const one of clients) await one.ask('EVALSHA', shaOf(text), 1, 'both', 'x');
        await clients[2]!.ask('SCRIPT', 'FLUSH');
        for (const one of clients)
          assert.match(String(await one.call('EVALSHA', shaOf(text), 1, 'both', 'x')), NOSCRIPT);
      });
    });

    test('a node that was started again and is empty has all it is asked for, in order', async () => {
      const patient = await startProxy({ cluster, settings: { 'failover.holdFor': '20s' } });
      const one = await patient.connect();
      const node = cluster.nodes.find(({ role }) => role === 'primary')!;
      const [text, key, next] = [fresh(), await keyAt(node), await keyAt(node)];
      await one.ask('SCRIPT', 'LOAD', text);
      await one.ask('FUNCTION', 'LOAD', 'REPLACE', LIBRARY);
      const calls = (on: string): Argument[][] => [
        ['FCALL', 'append', 1, on, 'a'],
        ['APPEND', on, 'b'],
        ['EVALSHA', shaOf(text), 1, on, 'c'],
        ['APPEND', on, 'd'],
        ['GET', on],
      ];
      const said = [1, 2, 3, 4].map((length) => `:${length}\r\n`);
      assert.deepEqual(await pipeline(calls(key), one), [...said, '$4\r\nabcd\r\n']);
      await cluster.kill(node.port);
      await patient.logged(new RegExp(`${node.port}.*a link was lost`));
      const held = pipeline(calls(next), one);
      await cluster.restart(node.port);
      assert.deepEqual(await held, [...said, '$4\r\nabcd\r\n']);
      one.destroy();
      await patient.stop();
    });
  });
}
