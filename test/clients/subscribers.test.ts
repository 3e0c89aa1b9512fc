/** ioredis and node-redis as subscribers, as clients of one server and as clients that believe to see a cluster. */

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Cluster as ClusterClient, Redis } from 'ioredis';
import { createClient, createCluster } from 'redis';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { until } from '../support/wait.ts';

const BYTES = Buffer.from(Array.from({ length: 1024 }, (_, i) => i & 255));

let cluster: Cluster;
let proxy: RunningProxy;
const opened: (() => void)[] = [];

before(async () => {
  cluster = await startCluster({ replicas: 0 });
  proxy = await startProxy({ cluster, settings: { workers: 2 } });
});

afterEach(() => {
  for (const close of opened.splice(0)) close();
});

after(async () => {
  await proxy?.stop();
  await cluster?.stop();
});

/** The proxy is ended, and started again at its port when the clients have noticed. */
async function restart(noticed: () => boolean): Promise<void> {
  const { port } = proxy;
  await proxy.stop();
  await until('the clients to notice', noticed);
  proxy = await startProxy({ cluster, port, settings: { workers: 2 } });
}

/** Waits until so many have been heard, and takes them. */
async function taken<T>(heard: T[], count: number): Promise<T[]> {
  await until(`${count} messages`, () => heard.length >= count);
  return heard.splice(0);
}

for (const protocol of [2, 3] as const) {
  describe(`ioredis with RESP${protocol}`, () => {
    function open(): Redis {
      const client = new Redis(proxy.port, '127.0.0.1', { protocol, retryStrategy: () => 20 });
      client.on('error', () => {});
      opened.push(() => client.disconnect());
      return client;
    }

    test('hears channels, patterns and shard channels, as text and as bytes, until it leaves them', async () => {
      const [subscriber, publisher] = [open(), open()];
      const heard: unknown[][] = [];
      for (const event of ['message', 'pmessage', 'pmessageBuffer'])
        subscriber.on(event, (...args) => heard.push([event, ...args]));
      assert.equal(await subscriber.subscribe('a', 'b'), 2);
      assert.equal(await subscriber.psubscribe('a*'), 3);
      const ofShards = open();
      ofShards.on('smessage', (...args) => heard.push(['smessage', ...args]));
      assert.equal(await ofShards.ssubscribe('s'), 1);
      assert.equal(await publisher.publish('b', 'text'), 1);
      assert.deepEqual(await taken(heard, 1), [['message', 'b', 'text']]);
      assert.equal(await publisher.publish('ab', BYTES), 1);
      assert.deepEqual(await taken(heard, 2), [
        ['pmessage', 'a*', 'ab', BYTES.toString()],
        ['pmessageBuffer', 'a*', Buffer.from('ab'), BYTES],
      ]);
      assert.equal(await publisher.spublish('s', 'text'), 1);
      assert.deepEqual(await taken(heard, 1), [['smessage', 's', 'text']]);
      assert.equal(await publisher.publish('a', 'both'), 2);
      assert.equal((await taken(heard, 3)).length, 3);
      // It is asked to leave by name: without names, and where others are left, ioredis waits for ever.
      await subscriber.unsubscribe('a');
      await subscriber.punsubscribe('a*');
      assert.deepEqual([await publisher.publish('a', ''), await publisher.publish('ab', '')], [0, 0]);
      assert.equal(await publisher.publish('b', 'last'), 1);
      assert.deepEqual(await taken(heard, 1), [['message', 'b', 'last']]);
      await subscriber.unsubscribe('b');
    });

    test('is an ordinary client again when it has left all, and not before', async () => {
      const subscriber = open();
      await subscriber.subscribe('a');
      if (protocol === 2) await assert.rejects(subscriber.get('a'), /subscriber mode/);
      assert.ok(await subscriber.ping());
      await subscriber.unsubscribe('a');
      assert.equal(await subscriber.get('a'), null);
    });

    test('subscribes again by itself when the proxy has been started again', async () => {
      const [subscriber, publisher] = [open(), open()];
      const heard: unknown[] = [];
      subscriber.on('messageBuffer', (channel, text) => heard.push([String(channel), String(text)]));
      subscriber.on('pmessage', (pattern, channel, text) => heard.push([pattern, channel, text]));
      subscriber.on('smessage', (channel, text) => heard.push([channel, text]));
      await subscriber.subscribe('a');
      await subscriber.psubscribe('b*');
      await subscriber.ssubscribe('c');
      await publisher.ping();
      await restart(() => subscriber.status !== 'ready' && publisher.status !== 'ready');
      await until('it to be subscribed again', async () => {
        const counts = [await publisher.publish('a', '1'), await publisher.publish('bb', '2')];
        return [...counts, await publisher.spublish('c', '3')].every((count) => count === 1);
      });
      await until('all three to be heard', () =>
        [
          ['a', '1'],
          ['b*', 'bb', '2'],
          ['c', '3'],
        ].every((one) => String(heard).includes(String(one))),
      );
    });

    for (const shardedSubscribers of [false, true])
      test(`hears as ioredis.Cluster${shardedSubscribers ? ' with sharded subscribers' : ''}`, async () => {
        const client = new ClusterClient([{ host: '127.0.0.1', port: proxy.port }], {
          redisOptions: { protocol },
          shardedSubscribers,
        });
        client.on('error', () => {});
        opened.push(() => client.disconnect());
        const publisher = open();
        const heard: unknown[][] = [];
        client.on('message', (...args) => heard.push(args));
        client.on('smessage', (...args) => heard.push(args));
        const channels = ['a', 'b', 'c', 'd'];
        if (shardedSubscribers) {
          for (const channel of channels) await client.ssubscribe(channel);
          for (const channel of channels) assert.equal(await client.spublish(channel, 'text'), 1);
        } else {
          await client.subscribe(...channels);
          for (const channel of channels) assert.equal(await publisher.publish(channel, 'text'), 1);
        }
        const all = await taken(heard, channels.length);
        assert.deepEqual(
          all.map(([channel, text]) => `${channel}: ${text}`).toSorted(),
          channels.map((channel) => `${channel}: text`),
        );
      });
  });

  describe(`node-redis with RESP${protocol}`, () => {
    async function open() {
      const socket = { host: '127.0.0.1', port: proxy.port, reconnectStrategy: () => 20 } as const;
      const client = createClient({ RESP: protocol, socket });
      client.on('error', () => {});
      opened.push(() => client.destroy());
      return client.connect();
    }

    test('hears channels, patterns and shard channels, as text and as bytes, until it leaves them', async () => {
      const [subscriber, publisher] = [await open(), await open()];
      const heard: unknown[][] = [];
      const listener = (...args: unknown[]) => heard.push(args);
      await subscriber.subscribe(['a', 'b'], listener);
      await subscriber.pSubscribe('a*', listener, true);
      await subscriber.sSubscribe('s', listener);
      assert.equal(await publisher.publish('b', 'text'), 1);
      assert.deepEqual(await taken(heard, 1), [['text', 'b']]);
      assert.equal(await publisher.publish('ab', BYTES), 1);
      assert.deepEqual(await taken(heard, 1), [[BYTES, Buffer.from('ab')]]);
      assert.equal(await publisher.sPublish('s', 'text'), 1);
      assert.deepEqual(await taken(heard, 1), [['text', 's']]);
      assert.equal(await publisher.publish('a', 'both'), 2);
      assert.equal((await taken(heard, 2)).length, 2);
      await subscriber.unsubscribe('a');
      await subscriber.pUnsubscribe();
      await subscriber.sUnsubscribe('s');
      assert.deepEqual(
        [
          await publisher.publish('a', ''),
          await publisher.publish('ab', ''),
          await publisher.sPublish('s', ''),
        ],
        [0, 0, 0],
      );
      assert.equal(await publisher.publish('b', 'last'), 1);
      assert.deepEqual(await taken(heard, 1), [['last', 'b']]);
      await subscriber.unsubscribe();
      // With RESP2 node-redis gives bytes to one who was subscribed, with any server.
      assert.equal(String(await subscriber.set('of:one:who:has:left', 'v')), 'OK');
    });

    test('counts subscribers as one server would', async () => {
      const [subscriber, other] = [await open(), await open()];
      for (const one of [subscriber, other]) await one.subscribe(['a', 'b'], () => {});
      await other.pSubscribe('x*', () => {});
      await other.sSubscribe('s', () => {});
      const asker = await open();
      assert.deepEqual((await asker.pubSubChannels()).toSorted(), ['a', 'b']);
      assert.deepEqual({ ...(await asker.pubSubNumSub(['a', 'none'])) }, { a: 2, none: 0 });
      assert.equal(await asker.pubSubNumPat(), 1);
      assert.deepEqual(await asker.pubSubShardChannels(), ['s']);
      assert.deepEqual({ ...(await asker.pubSubShardNumSub(['s'])) }, { s: 1 });
    });

    if (protocol === 3)
      test('publishes and does all else while it is subscribed', async () => {
        const client = await open();
        const heard: string[] = [];
        await client.subscribe('a', (text) => heard.push(text));
        const replies = await Promise.all(
          Array.from({ length: 100 }, async (_, i) => {
            await client.set(`k:${i}`, i);
            assert.equal(await client.publish('a', String(i)), 1);
            return client.get(`k:${i}`);
          }),
        );
        assert.deepEqual(replies, [...Array(100).keys()].map(String));
        assert.deepEqual(await taken(heard, 100), replies);
      });

    test('subscribes again by itself when the proxy has been started again', async () => {
      const [subscriber, publisher] = [await open(), await open()];
      const heard: string[] = [];
      await subscriber.subscribe('a', (text) => heard.push(text));
      await subscriber.pSubscribe('b*', (text) => heard.push(text));
      await subscriber.sSubscribe('c', (text) => heard.push(text));
      await restart(() => !subscriber.isReady && !publisher.isReady);
      await until('it to be subscribed again', async () => {
        const counts = [await publisher.publish('a', '1'), await publisher.publish('bb', '2')];
        return [...counts, await publisher.sPublish('c', '3')].every((count) => count === 1);
      });
      await until('all three to be heard', () => ['1', '2', '3'].every((text) => heard.includes(text)));
    });

    test('hears with createCluster', async () => {
      const client = createCluster({
        RESP: protocol,
        rootNodes: [{ socket: { host: '127.0.0.1', port: proxy.port } }],
      });
      client.on('error', () => {});
      await client.connect();
      opened.push(() => client.destroy());
      const heard: string[] = [];
      const channels = ['a', 'b', 'c', 'd'];
      const listener = (text: string, channel: string) => heard.push(`${channel}: ${text}`);
      await client.subscribe(channels, listener);
      for (const channel of channels) await client.sSubscribe(channel, listener);
      for (const channel of channels) {
        assert.equal(await client.publish(channel, 'to all'), 1);
        assert.equal(await client.sPublish(channel, 'to one'), 1);
      }
      assert.deepEqual(
        (await taken(heard, 8)).toSorted(),
        channels.flatMap((channel) => [`${channel}: to all`, `${channel}: to one`]),
      );
      await client.unsubscribe();
      for (const channel of channels) await client.sUnsubscribe(channel);
      assert.deepEqual([await client.publish('a', ''), await client.sPublish('a', '')], [0, 0]);
    });
  });
}
