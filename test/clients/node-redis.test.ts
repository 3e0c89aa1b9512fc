/** node-redis as an ordinary client of one server, and as a client that believes to see a cluster. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createClient, createCluster, defineScript, RESP_TYPES, WatchError } from 'redis';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

let cluster: Cluster;
let proxy: RunningProxy;

before(async () => {
  cluster = await startCluster({ replicas: 0 });
  proxy = await startProxy({ cluster });
});

after(async () => {
  await proxy?.stop();
  await cluster?.stop();
});

const scripts = {
  setAndCount: defineScript({
    SCRIPT: 'redis.call("SET", KEYS[1], ARGV[1]) return redis.call("INCR", KEYS[2])',
    NUMBER_OF_KEYS: 2,
    parseCommand: (parser, key: string, counter: string, value: string) => {
      parser.pushKey(key);
      parser.pushKey(counter);
      parser.push(value);
    },
    transformReply: (reply: unknown) => Number(reply),
  }),
};

for (const RESP of [2, 3] as const) {
  describe(`node-redis with RESP${RESP}`, () => {
    /** Runs `work` with a client of its own, and ends that whatever comes. */
    async function withClient(work: (client: ReturnType<typeof make>) => Promise<void>): Promise<void> {
      const client = make();
      client.on('error', () => {});
      await client.connect();
      try {
        await work(client);
      } finally {
        client.destroy();
      }
    }

    function make() {
      const socket = { host: '127.0.0.1', port: proxy.port, reconnectStrategy: () => 20 } as const;
      // It waits for five seconds by default: a proxy may take longer to start on a busy machine.
      const commandOptions = { timeout: 60_000 };
      return createClient({
        RESP,
        socket,
        commandOptions,
        name: 'the-name',
        clientInfoTag: 'a-tag',
        scripts,
      });
    }

    test('gives commands of every kind their replies', () =>
      withClient(async (client) => {
        assert.equal(await client.set('s', 'v', { expiration: { type: 'EX', value: 100 } }), 'OK');
        assert.equal(await client.set('s', 'w', { condition: 'NX' }), null);
        assert.equal(await client.ttl('s'), 100);
        assert.equal(await client.incrBy('n', 7), 7);
        assert.equal(await client.rPush('l', ['a', 'b', 'c']), 3);
        assert.deepEqual(await client.lRange('l', 0, -1), ['a', 'b', 'c']);
        assert.equal(await client.hSet('h', { f: '1', g: '2' }), 2);
        assert.deepEqual({ ...(await client.hGetAll('h')) }, { f: '1', g: '2' });
        assert.equal(await client.zAdd('z', [{ score: 1.5, value: 'a' }]), 1);
        assert.deepEqual(await client.zRangeWithScores('z', 0, -1), [{ score: 1.5, value: 'a' }]);
        assert.equal(await client.zScore('z', 'a'), 1.5);
        assert.deepEqual(await client.sAdd('set', ['a', 'b']), 2);
        assert.deepEqual(new Set(await client.sMembers('set')), new Set(['a', 'b']));
        const id = await client.xAdd('x', '*', { f: 'v' });
        const entry = (await client.xRange('x', '-', '+'))?.[0];
        assert.deepEqual({ id: entry?.id, f: entry?.message['f'] }, { id, f: 'v' });
        await assert.rejects(client.lPush('s', 'x'), /WRONGTYPE/);
        assert.equal(await client.dbSize(), 7);
        assert.equal(await client.flushAll(), 'OK');
      }));

    test('reads and writes keys of many slots at once', () =>
      withClient(async (client) => {
        const keys = Array.from({ length: 200 }, (_, i) => `k:${i}`);
        assert.equal(await client.mSet(keys.map((key, i) => [key, String(i)] as [string, string])), 'OK');
        assert.deepEqual(await client.mGet([...keys, 'none']), [...keys.map((_, i) => String(i)), null]);
        assert.equal(await client.exists([...keys, 'k:0', 'none']), 201);
        assert.equal(await client.unlink(keys.slice(0, 100)), 100);
        assert.equal(await client.del(keys), 100);
      }));

    test('pipelines what is sent in one turn, over all slots, in order', () =>
      withClient(async (client) => {
        const replies = await Promise.all(
          Array.from({ length: 1000 }, (_, i) => client.incrBy(`p:${i % 100}`, 1)),
        );
        assert.deepEqual(
          replies,
          Array.from({ length: 1000 }, (_, i) => Math.floor(i / 100) + 1),
        );
        const pipelined = await client.multi().get('p:1').get('p:2').mGet(['p:3', 'p:4']).execAsPipeline();
        assert.deepEqual(pipelined, ['10', '10', ['10', '10']]);
        await client.flushAll();
      }));

    test('walks the whole keyspace with scanIterator, and one key with hScanIterator', () =>
      withClient(async (client) => {
        await Promise.all(Array.from({ length: 3000 }, (_, i) => client.set(`scan:${i}`, i)));
        await client.hSet('hash', Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`f${i}`, i])));
        const seen = new Set<string>();
        for await (const keys of client.scanIterator({ MATCH: 'scan:*', COUNT: 100 }))
          for (const key of keys) seen.add(key);
        assert.equal(seen.size, 3000);
        const strings = new Set<string>();
        for await (const keys of client.scanIterator({ TYPE: 'hash', COUNT: 1000 }))
          for (const key of keys) strings.add(key);
        assert.deepEqual([...strings], ['hash']);
        const fields = new Set<string>();
        for await (const part of client.hScanIterator('hash'))
          for (const { field } of part) fields.add(field);
        assert.equal(fields.size, 1000);
        await client.flushAll();
      }));

    test('runs scripts by EVALSHA and falls back to EVAL, at every shard', () =>
      withClient(async (client) => {
        for (let i = 0; i < 20; i++) {
          assert.equal(await client.setAndCount(`{${i}}k`, `{${i}}n`, 'v'), 1);
          assert.equal(await client.setAndCount(`{${i}}k`, `{${i}}n`, 'v'), 2);
        }
        await client.scriptFlush();
        assert.equal(await client.setAndCount('{0}k', '{0}n', 'v'), 3);
        await client.flushAll();
      }));

    test('keeps bytes as they are', () =>
      withClient(async (client) => {
        const bytes = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
        const key = Buffer.from([0, 13, 10, 255, 36]);
        const value = Buffer.from(Array.from({ length: 1024 }, (_, i) => i & 255));
        await bytes.set(key, value);
        assert.deepEqual(await bytes.get(key), value);
        await bytes.flushAll();
      }));

    test('names itself, and is told of its own', () =>
      withClient(async (client) => {
        assert.equal(await client.clientGetName(), 'the-name');
        const info = await client.clientInfo();
        assert.equal(info.id, await client.clientId());
        assert.equal(info.name, 'the-name');
        assert.equal(info.resp, RESP);
        assert.ok((await client.clientList()).some(({ id }) => id === info.id));
        assert.match(await client.info('server'), /(redis|server)_mode:standalone/);
        assert.equal((await client.configGet('maxmemory')).maxmemory, '0');
        assert.ok((await client.commandCount()) > 200);
        assert.ok(await client.time());
        assert.equal(await client.select(0), undefined);
        await assert.rejects(client.select(1), /SELECT is not allowed in cluster mode/);
      }));

    test('waits for what another pushes', () =>
      withClient(async (client) => {
        const waits = client.brPop(['q:1', 'q:2', 'q:3'], 10);
        await withClient(async (other) => {
          await other.lPush('q:2', 'x');
        });
        assert.deepEqual({ ...(await waits) }, { key: 'q:2', element: 'x' });
        assert.equal(await client.blPop(['q:1', 'q:2'], 0.01), null);
      }));

    test('has transactions of one slot, watched ones too, and is refused those of several', () =>
      withClient(async (client) => {
        assert.deepEqual(await client.multi().set('{t}a', '1').incr('{t}a').hGetAll('{t}h').exec(), [
          'OK',
          2,
          {},
        ]);
        await client.watch('{t}a');
        await withClient(async (other) => {
          await other.set('{t}a', '9');
        });
        await assert.rejects(client.multi().incr('{t}a').exec(), WatchError);
        assert.equal(await client.get('{t}a'), '9');
        await assert.rejects(client.multi().set('a', '1').set('b', '2').exec(), /CROSSSLOT/);
        assert.equal(await client.exists(['a', 'b']), 0);
      }));

    test('waits while the proxy is started again, and goes on', () =>
      withClient(async (client) => {
        assert.equal(await client.set('kept', 'v'), 'OK');
        const { port } = proxy;
        await proxy.stop();
        await until('the client to notice', () => !client.isReady);
        const early = Promise.all(Array.from({ length: 100 }, (_, i) => client.incr(`queued:${i % 10}`)));
        proxy = await startProxy({ cluster, port });
        assert.deepEqual(
          await early,
          Array.from({ length: 100 }, (_, i) => Math.floor(i / 10) + 1),
        );
        assert.equal(await client.get('kept'), 'v');
        await client.flushAll();
      }));

    test('believes to see a cluster of one node, with createCluster', async () => {
      const client = createCluster({
        RESP,
        rootNodes: [{ socket: { host: '127.0.0.1', port: proxy.port } }],
      });
      client.on('error', () => {});
      await client.connect();
      try {
        const replies = await Promise.all(
          Array.from({ length: 100 }, async (_, i) => {
            await client.set(`c:${i}`, i);
            return client.get(`c:${i}`);
          }),
        );
        assert.deepEqual(replies, [...Array(100).keys()].map(String));
        assert.deepEqual(
          client.masters.map(({ port }) => port),
          [proxy.port],
        );
        await client.del(Array.from({ length: 100 }, (_, i) => `c:${i}`));
      } finally {
        client.destroy();
      }
    });
  });
}
