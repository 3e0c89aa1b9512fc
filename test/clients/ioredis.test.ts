/** ioredis as an ordinary client of one server, and as a client that believes to see a cluster. */

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Cluster as ClusterClient, Redis, type RedisOptions } from 'ioredis';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

/** Of the scripts that the tests define; ioredis adds them to its instances by name. */
interface Scripted {
  setAndCount(key: string, counter: string, value: string): Promise<[string, number]>;
}

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

type Options = Pick<
  RedisOptions,
  'connectionName' | 'enableAutoPipelining' | 'maxRetriesPerRequest' | 'retryStrategy'
>;

for (const protocol of [2, 3] as const)
  describe(`ioredis with RESP${protocol}`, () => {
    const opened: { disconnect(): void }[] = [];

    afterEach(() => {
      for (const client of opened.splice(0)) client.disconnect();
    });

    function open(options: Options = {}): Redis {
      const client = new Redis(proxy.port, '127.0.0.1', { protocol, ...options });
      opened.push(client);
      return client;
    }

    test('gives commands of every kind their replies', async () => {
      const redis = open();
      assert.equal(await redis.set('s', 'v', 'EX', 100), 'OK');
      assert.equal(await redis.set('s', 'w', 'NX'), null);
      assert.equal(await redis.ttl('s'), 100);
      assert.equal(await redis.incrby('n', 7), 7);
      assert.equal(await redis.rpush('l', 'a', 'b', 'c'), 3);
      assert.deepEqual(await redis.lrange('l', 0, -1), ['a', 'b', 'c']);
      assert.equal(await redis.hset('h', { f: '1', g: '2' }), 2);
      assert.deepEqual(await redis.hgetall('h'), { f: '1', g: '2' });
      assert.equal(await redis.zadd('z', 1, 'a', 2, 'b'), 2);
      assert.deepEqual(await redis.zrange('z', '0', '-1', 'WITHSCORES'), ['a', '1', 'b', '2']);
      const id = await redis.xadd('x', '*', 'f', 'v');
      assert.deepEqual(await redis.xrange('x', '-', '+'), [[id, ['f', 'v']]]);
      await assert.rejects(redis.lpush('s', 'x'), /^ReplyError: WRONGTYPE/);
      assert.equal(await redis.dbsize(), 6);
      assert.equal(await redis.flushall(), 'OK');
    });

    test('reads and writes keys of many slots at once', async () => {
      const redis = open();
      const keys = Array.from({ length: 200 }, (_, i) => `k:${i}`);
      assert.equal(await redis.mset(Object.fromEntries(keys.map((key, i) => [key, String(i)]))), 'OK');
      assert.deepEqual(
        await redis.mget(...keys, 'none'),
        [...keys.keys()].map(String).concat([null as never]),
      );
      assert.equal(await redis.exists(...keys, 'k:0', 'none'), 201);
      assert.equal(await redis.touch(...keys), 200);
      assert.equal(await redis.unlink(...keys.slice(0, 100)), 100);
      assert.equal(await redis.del(...keys), 100);
    });

    test('gives each command of a pipeline its own reply, errors too', async () => {
      const redis = open();
      const pipeline = redis.pipeline();
      for (let i = 0; i < 1000; i++) pipeline.incrby(`p:${i}`, i);
      pipeline.lpush('p:0', 'x').mget('p:1', 'p:999');
      const replies = (await pipeline.exec()) ?? [];
      assert.deepEqual(
        replies.slice(0, 1000),
        [...Array(1000).keys()].map((i) => [null, i]),
      );
      assert.match(String(replies[1000]?.[0]), /WRONGTYPE/);
      assert.deepEqual(replies[1001], [null, ['1', '999']]);
      await redis.flushall();
    });

    test('pipelines by itself with enableAutoPipelining', async () => {
      const redis = open({ enableAutoPipelining: true });
      const replies = await Promise.all(
        Array.from({ length: 500 }, async (_, i) => {
          await redis.set(`a:${i}`, i);
          return redis.get(`a:${i}`);
        }),
      );
      assert.deepEqual(replies, [...Array(500).keys()].map(String));
      await redis.flushall();
    });

    test('runs scripts by EVALSHA and falls back to EVAL, at every shard', async () => {
      const redis = open() as Redis & Scripted;
      const lua = 'return {redis.call("SET", KEYS[1], ARGV[1])["ok"], redis.call("INCR", KEYS[2])}';
      redis.defineCommand('setAndCount', { numberOfKeys: 2, lua });
      for (let i = 0; i < 20; i++) {
        assert.deepEqual(await redis.setAndCount(`{${i}}k`, `{${i}}n`, 'v'), ['OK', 1]);
        assert.deepEqual(await redis.setAndCount(`{${i}}k`, `{${i}}n`, 'v'), ['OK', 2]);
      }
      await redis.script('FLUSH');
      const replies = await redis.pipeline([['get', '{0}k']]).exec();
      assert.deepEqual(replies, [[null, 'v']]);
      assert.deepEqual(await redis.setAndCount('{0}k', '{0}n', 'v'), ['OK', 3]);
      await redis.flushall();
    });

    test('keeps bytes as they are', async () => {
      const redis = open();
      const key = Buffer.from([0, 13, 10, 255, 36]);
      const value = Buffer.from(Array.from({ length: 1024 }, (_, i) => i & 255));
      await redis.set(key, value);
      assert.deepEqual(await redis.getBuffer(key), value);
      assert.deepEqual(await redis.mgetBuffer(key, 'none'), [value, null]);
      assert.deepEqual(await redis.callBuffer('GETRANGE', key, 250, 257), value.subarray(250, 258));
      await redis.flushall();
    });

    test('walks the whole keyspace with scanStream, and one key with hscanStream', async () => {
      const redis = open();
      const pipeline = redis.pipeline();
      for (let i = 0; i < 3000; i++) pipeline.set(`scan:${i}`, i);
      pipeline.hset('hash', ...Array.from({ length: 1000 }, (_, i) => [`f${i}`, String(i)]).flat());
      await pipeline.exec();
      const seen = new Set<string>();
      for await (const keys of redis.scanStream({ match: 'scan:*', count: 100 }))
        for (const key of keys) seen.add(key);
      assert.equal(seen.size, 3000);
      const fields = new Map<string, string>();
      for await (const part of redis.hscanStream('hash'))
        for (let i = 0; i < part.length; i += 2) fields.set(part[i], part[i + 1]);
      assert.equal(fields.size, 1000);
      await redis.flushall();
    });

    test('names its connection, and is told of its own', async () => {
      const redis = open({ connectionName: 'the-name' });
      assert.equal(await redis.client('GETNAME'), 'the-name');
      assert.match(String(await redis.client('LIST')), /\bname=the-name\b/);
      const id = await redis.client('ID');
      assert.match(String(await redis.client('INFO')), new RegExp(`^id=${id} .* resp=${protocol}\\b`));
      assert.match(await redis.info(), /redis_mode:standalone/);
      assert.equal(await redis.select(0), 'OK');
      await assert.rejects(redis.select(1), /SELECT is not allowed in cluster mode/);
    });

    test('waits for what another pushes', async () => {
      const redis = open();
      const waits = redis.brpop('q:1', 'q:2', 'q:3', 10);
      await open().lpush('q:2', 'x');
      assert.deepEqual(await waits, ['q:2', 'x']);
      assert.equal(await redis.blpop('q:1', 'q:2', 0.01), null);
    });

    test('has transactions of one slot, watched ones too, and is refused those of several', async () => {
      const redis = open();
      assert.deepEqual(await redis.multi().set('{t}a', 1).incr('{t}a').get('{t}a').exec(), [
        [null, 'OK'],
        [null, 2],
        [null, '2'],
      ]);
      await redis.watch('{t}a');
      const other = open();
      await other.set('{t}a', 9);
      assert.equal(await redis.multi().incr('{t}a').exec(), null);
      assert.equal(await redis.get('{t}a'), '9');
      await assert.rejects(redis.multi().set('a', 1).set('b', 2).exec(), /CROSSSLOT.*transactions: per-slot/);
      assert.equal(await redis.exists('a', 'b'), 0);
    });

    test('waits while the proxy is started again, and goes on', async () => {
      const redis = open({ retryStrategy: () => 20, maxRetriesPerRequest: null });
      redis.on('error', () => {});
      assert.equal(await redis.set('kept', 'v'), 'OK');
      const { port } = proxy;
      await proxy.stop();
      await until('the client to notice', () => redis.status !== 'ready');
      const early = Promise.all(Array.from({ length: 100 }, (_, i) => redis.incr(`queued:${i % 10}`)));
      proxy = await startProxy({ cluster, port });
      assert.deepEqual(
        await early,
        Array.from({ length: 100 }, (_, i) => Math.floor(i / 10) + 1),
      );
      assert.equal(await redis.get('kept'), 'v');
      await redis.flushall();
    });

    test('believes to see a cluster of one node, as ioredis.Cluster', async () => {
      const client = new ClusterClient([{ host: '127.0.0.1', port: proxy.port }], {
        redisOptions: { protocol },
      });
      opened.push(client);
      const replies = await Promise.all(
        Array.from({ length: 100 }, async (_, i) => {
          await client.set(`c:${i}`, i);
          return client.get(`c:${i}`);
        }),
      );
      assert.deepEqual(replies, [...Array(100).keys()].map(String));
      assert.deepEqual(
        client.nodes('master').map(({ options }) => options.port),
        [proxy.port],
      );
      const pipeline = client.pipeline();
      for (let i = 0; i < 10; i++) pipeline.incr('{tag}n');
      assert.deepEqual((await pipeline.exec())?.at(-1), [null, 10]);
      await client.flushall();
    });
  });
