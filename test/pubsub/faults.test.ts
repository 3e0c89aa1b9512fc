/** Subscribers while nodes are lost, silent or refuse, and subscribers that do not read. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { slotOf } from '../../src/command/slot.ts';
import { Mover, tagOf } from '../cluster/moves.ts';
import type { RawClient } from '../support/client.ts';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';
import { findServer } from '../support/servers.ts';
import { until } from '../support/wait.ts';

const message = (channel: string, text: string) =>
  `*3\r\n$7\r\nmessage\r\n$${channel.length}\r\n${channel}\r\n$${text.length}\r\n${text}\r\n`;
const CHANNEL = `{${tagOf(3)}}c`;

async function subscribed(proxy: RunningProxy, channel = CHANNEL): Promise<RawClient> {
  const client = await proxy.connect();
  await client.ask('SUBSCRIBE', channel);
  return client;
}

/** Ports of the nodes at which a channel is subscribed to. */
async function heardAt(cluster: Cluster, channel: string): Promise<number[]> {
  const counts = await Promise.all(
    cluster.nodes.map(async ({ port }) => {
      const reply = (await cluster.cli(port, 'PUBSUB', 'NUMSUB', channel)) as unknown[];
      return Number(reply[1]) > 0 ? [port] : [];
    }),
  );
  return counts.flat();
}

describe('subscribers', () => {
  let cluster: Cluster;
  let mover: Mover;
  const proxies: RunningProxy[] = [];

  before(async () => {
    cluster = await startCluster({ server: await findServer() });
    mover = new Mover(cluster);
  });

  after(async () => {
    for (const proxy of proxies) await proxy.stop();
    await cluster?.stop();
  });

  const open = async (settings: Record<string, string | number> = {}) => {
    const proxy = await startProxy({ cluster, settings: { 'failover.holdFor': '30s', ...settings } });
    proxies.push(proxy);
    return proxy;
  };

  /** A number in the proxy's section of INFO. */
  const info = async (client: RawClient, field: string) =>
    Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(String(await client.ask('INFO', 'proxy')))?.[1]);

  test('hear a channel at the owner of its slot, with one subscription however many they are', async () => {
    const proxy = await open();
    const owner = await cluster.ownerOf(3);
    const clients = await Promise.all([1, 2, 3].map(() => subscribed(proxy)));
    assert.deepEqual(await heardAt(cluster, CHANNEL), [owner.port]);
    assert.deepEqual(await cluster.cli(owner.port, 'PUBSUB', 'NUMSUB', CHANNEL), [CHANNEL, 1]);
    const publisher = await proxy.connect();
    assert.equal(await publisher.ask('PUBLISH', CHANNEL, 'x'), 3);
    for (const client of clients) assert.equal(String((await client.read())[0]), message(CHANNEL, 'x'));
    await clients[0]!.ask('UNSUBSCRIBE');
    clients[1]!.destroy();
    assert.deepEqual(await heardAt(cluster, CHANNEL), [owner.port]);
    clients[2]!.destroy();
    await until('the node to be left', async () => (await heardAt(cluster, CHANNEL)).length === 0);
    publisher.destroy();
  });

  test('are spread over replicas, too, where pubsub.from is any', async () => {
    const proxy = await open({ 'pubsub.from': 'any' });
    const client = await proxy.connect();
    const channels = Array.from({ length: 60 }, (_, i) => `spread:${i}`);
    await client.pipeline(channels.map((channel) => ['SUBSCRIBE', channel]));
    for (const { port } of cluster.nodes) {
      const listed = (await cluster.cli(port, 'PUBSUB', 'CHANNELS', 'spread:*')) as unknown[];
      assert.ok(listed.length > 0 && listed.length < 30, `${port}: ${listed.length}`);
    }
    client.destroy();
  });

  test('whose connection at the node is closed hear on, and the gap is counted and logged', async () => {
    const proxy = await open();
    const [client, other] = [await subscribed(proxy), await proxy.connect()];
    const owner = await cluster.ownerOf(3);
    await cluster.cli(owner.port, 'CLIENT', 'KILL', 'TYPE', 'pubsub');
    await proxy.logged(/a node of subscriptions was lost/);
    assert.match(await proxy.logged(/subscriptions are heard again/), /"subscriptions":1,"ms":\d+/);
    assert.equal(await info(other, 'proxy_subscription_gaps'), 1);
    assert.equal(await other.ask('PUBLISH', CHANNEL, 'x'), 1);
    assert.equal(String((await client.read())[0]), message(CHANNEL, 'x'));
    client.destroy();
    other.destroy();
  });

  test('who must know of a gap are disconnected', async () => {
    const proxy = await open({ 'pubsub.onGap': 'disconnect' });
    const [client, far, other] = [
      await subscribed(proxy),
      await subscribed(proxy, `{${tagOf(12000)}}c`),
      await proxy.connect(),
    ];
    await cluster.cli((await cluster.ownerOf(3)).port, 'CLIENT', 'KILL', 'TYPE', 'pubsub');
    await client.closed;
    await proxy.logged(/messages may have been missed \(pubsub.onGap\)/);
    await until('nothing to be left of it', async () => (await heardAt(cluster, CHANNEL)).length === 0);
    assert.equal(await other.ask('PUBLISH', `{${tagOf(12000)}}c`, 'x'), 1);
    assert.equal(String((await far.read())[0]), message(`{${tagOf(12000)}}c`, 'x'));
    far.destroy();
    other.destroy();
  });

  test('of a node that falls silent are moved to another, and it is not asked for new ones', async () => {
    const proxy = await open({ 'pubsub.silence': '300ms' });
    const client = await subscribed(proxy);
    const owner = await cluster.ownerOf(3);
    const others = cluster.nodes.filter(({ port }) => port !== owner.port);
    cluster.pause(owner.port);
    try {
      await proxy.logged(/subscriptions are heard again/);
      // Published at another node, past the proxy: the halted one takes nothing.
      assert.equal((await cluster.cli(others[0]!.port, 'PUBLISH', CHANNEL, 'past').then(Number)) <= 1, true);
      assert.equal(String((await client.read())[0]), message(CHANNEL, 'past'));
      const late = await subscribed(proxy, `${CHANNEL}2`);
      await cluster.cli(others[1]!.port, 'PUBLISH', `${CHANNEL}2`, 'new');
      assert.equal(String((await late.read())[0]), message(`${CHANNEL}2`, 'new'));
      late.destroy();
    } finally {
      cluster.resume(owner.port);
    }
    client.destroy();
    await mover.agreed();
  });

  test('of a node that is busy for longer than two seconds stay there and miss nothing', async () => {
    const proxy = await open();
    const client = await subscribed(proxy);
    const owner = await cluster.ownerOf(3);
    const other = cluster.nodes.find(({ port }) => port !== owner.port)!;
    const done = cluster.cli(owner.port, 'DEBUG', 'SLEEP', '2.5');
    await cluster.cli(other.port, 'PUBLISH', CHANNEL, 'meanwhile');
    assert.equal(await done, 'OK');
    assert.equal(String((await client.read())[0]), message(CHANNEL, 'meanwhile'));
    assert.deepEqual(await heardAt(cluster, CHANNEL), [owner.port]);
    assert.ok(!proxy.log.some((line) => line.includes('a node of subscriptions was lost')));
    client.destroy();
  });

  test('of a frozen primary are moved when the cluster has replaced it, however long pubsub.silence', async () => {
    const proxy = await open({ 'pubsub.silence': '1m' });
    const [client, publisher] = [await subscribed(proxy), await proxy.connect()];
    const owner = await cluster.ownerOf(3);
    await mover.heirOf(owner);
    cluster.pause(owner.port);
    try {
      // Held back until there is an heir.
      const set = publisher.ask('SET', CHANNEL, 'x');
      await proxy.logged(/silent, and the cluster has replaced it/);
      await proxy.logged(/subscriptions are heard again/);
      assert.equal(await set, 'OK');
      assert.equal(await publisher.ask('PUBLISH', CHANNEL, 'x'), 1);
      assert.equal(String((await client.read())[0]), message(CHANNEL, 'x'));
    } finally {
      cluster.resume(owner.port);
    }
    client.destroy();
    publisher.destroy();
    await mover.agreed();
  });

  test('are told why a node refuses a subscription, and what is allowed is served on', async () => {
    for (const { port } of cluster.nodes)
      await cluster.cli(port, 'ACL', 'SETUSER', 'sub', 'on', '>p', '+@all', '~*', 'resetchannels', '&news.*');
    const limited = await open({ username: 'sub', password: 'p', clientAuth: 'proxy' });
    const client = await limited.connect();
    assert.match(String(await client.ask('SUBSCRIBE', 'secret')), /^Error: NOPERM /);
    assert.match(String(await client.ask('SUBSCRIBE', 'news.a', 'secret')), /^Error: NOPERM /);
    assert.equal(await client.ask('GET', 'k'), null);
    assert.deepEqual(await client.ask('SUBSCRIBE', 'news.a'), ['subscribe', 'news.a', 1]);
    assert.deepEqual(await heardAt(cluster, 'secret'), []);
    client.destroy();
  });

  test('may not be subscribed to more than limits.subscriptions', async () => {
    const proxy = await open({ 'limits.subscriptions': 2 });
    const client = await proxy.connect();
    await client.pipeline([
      ['SUBSCRIBE', 'a'],
      ['PSUBSCRIBE', 'b'],
    ]);
    assert.match(String(await client.ask('SSUBSCRIBE', 'c')), /limits\.subscriptions/);
    await client.ask('UNSUBSCRIBE', 'a');
    assert.deepEqual(await client.ask('SSUBSCRIBE', 'c'), ['ssubscribe', 'c', 1]);
    client.destroy();
  });

  for (const [limit, what] of [
    ['1mb 0 0', /pubsub\.outputLimit, hard/],
    ['0 256kb 0', /pubsub\.outputLimit, soft/],
  ] as const) {
    test(`who do not read are cut off at "${limit}", and nobody else misses anything`, async () => {
      const proxy = await open({ 'pubsub.outputLimit': limit });
      const [slow, good, publisher] = [
        await subscribed(proxy),
        await subscribed(proxy),
        await proxy.connect(),
      ];
      slow.socket.pause();
      const text = 'x'.repeat(50_000);
      let published = 0;
      const gone = proxy.logged(what);
      let over = false;
      void gone.then(() => {
        over = true;
      });
      while (!over) {
        await publisher.ask('PUBLISH', CHANNEL, text);
        published++;
        assert.equal(String((await good.read())[0]), message(CHANNEL, text));
      }
      await gone;
      assert.equal(await publisher.ask('PUBLISH', CHANNEL, 'after'), 1);
      assert.equal(String((await good.read())[0]), message(CHANNEL, 'after'));
      assert.ok(published > 1);
      for (const client of [slow, good, publisher]) client.destroy();
    });
  }

  test('get a message of 40 MB whole, or are cut off at it as by a server', async () => {
    // Else the nodes cut the proxy itself off.
    for (const { port } of cluster.nodes)
      await cluster.cli(port, 'CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 0 0 0');
    const text = Buffer.alloc(40_000_000, 'x');
    const [limited, unlimited] = [await open(), await open({ 'pubsub.outputLimit': '0 0 0' })];
    const [cut, good, publisher] = [
      await subscribed(limited),
      await subscribed(unlimited),
      await limited.connect(),
    ];
    await publisher.ask('PUBLISH', CHANNEL, text);
    const heard = (await good.read())[0]!;
    assert.ok(heard.subarray(-text.length - 2, -2).equals(text));
    await cut.closed;
    await limited.logged(/pubsub\.outputLimit, hard/);
    assert.equal(await publisher.ask('PING'), 'PONG');
    for (const client of [good, publisher]) client.destroy();
  });

  test('are counted while a node can not be reached', async () => {
    const proxy = await open();
    const [client, other] = [await subscribed(proxy), await proxy.connect()];
    const replica = await mover.heirOf(await cluster.ownerOf(3));
    await cluster.kill(replica.port);
    try {
      assert.deepEqual(await other.ask('PUBSUB', 'NUMSUB', CHANNEL), [CHANNEL, 1]);
      assert.deepEqual(await other.ask('PUBSUB', 'CHANNELS', CHANNEL), [CHANNEL]);
      assert.equal(await other.ask('PUBSUB', 'NUMPAT'), 0);
    } finally {
      await cluster.restart(replica.port);
      await mover.agreed();
    }
    client.destroy();
    other.destroy();
  });

  test('hear on when the primary of their channel is replaced by plan', async () => {
    const proxy = await open();
    const [client, other] = [await subscribed(proxy), await proxy.connect()];
    await mover.make({ what: 'failover', slot: 3 });
    assert.equal(await other.ask('PUBLISH', CHANNEL, 'x'), 1);
    assert.equal(String((await client.read())[0]), message(CHANNEL, 'x'));
    client.destroy();
    other.destroy();
  });
});

describe('subscribers', () => {
  let cluster: Cluster;
  let proxy: RunningProxy;

  before(async () => {
    cluster = await startCluster({ server: await findServer(), replicas: 0 });
    proxy = await startProxy({ cluster, settings: { 'refresh.every': '200ms' } });
  });

  after(async () => {
    await proxy?.stop();
    await cluster?.stop();
  });

  test('of a node that leaves the cluster are moved to another', async () => {
    const joined = await cluster.join();
    const slot = 3;
    const from = await cluster.ownerOf(slot);
    await cluster.moveSlot(slot, joined.port);
    await until('the map to have it', () => proxy.log.some((line) => line.includes(`:${joined.port}`)));
    const client = await subscribed(proxy);
    assert.deepEqual(await heardAt(cluster, CHANNEL), [joined.port]);
    await cluster.moveSlot(slot, from.port);
    for (const { port } of cluster.nodes)
      if (port !== joined.port) await cluster.cli(port, 'CLUSTER', 'FORGET', joined.id);
    await until('it to be heard elsewhere', async () => {
      const at = await heardAt(cluster, CHANNEL);
      return at.length === 1 && at[0] !== joined.port;
    });
    const other = await proxy.connect();
    assert.equal(await other.ask('PUBLISH', CHANNEL, 'x'), 1);
    assert.equal(String((await client.read())[0]), message(CHANNEL, 'x'));
    client.destroy();
    other.destroy();
  });
});

describe('pubsub.mode sharded', () => {
  let cluster: Cluster;
  let proxy: RunningProxy;

  before(async () => {
    cluster = await startCluster({ server: await findServer(), config: ['--notify-keyspace-events', 'KEA'] });
    proxy = await startProxy({
      cluster,
      settings: { 'pubsub.mode': 'sharded', workers: 2, transactions: 'per-slot' },
    });
  });

  after(async () => {
    await proxy?.stop();
    await cluster?.stop();
  });

  const sent = async (what: string) => {
    const infos = await Promise.all(cluster.nodes.map(({ port }) => cluster.cli(port, 'CLUSTER', 'INFO')));
    return infos.reduce(
      (sum: number, text) =>
        sum + Number(new RegExp(`cluster_stats_messages_${what}_sent:(\\d+)`).exec(String(text))?.[1] ?? 0),
      0,
    );
  };

  test('subscribers hear messages as ever, and the other shards are not told', async () => {
    const clients = await Promise.all([1, 2, 3].map(() => proxy.connect()));
    for (const client of clients) assert.deepEqual(await client.ask('SUBSCRIBE', 'c'), ['subscribe', 'c', 1]);
    const publisher = await proxy.connect();
    assert.equal(await publisher.ask('PUBLISH', 'c', 'x'), 3);
    for (const client of clients) assert.equal(String((await client.read())[0]), message('c', 'x'));
    assert.equal(await sent('publish'), 0);
    assert.ok((await sent('publishshard')) > 0);
    for (const client of [...clients, publisher]) client.destroy();
  });

  test('publishers at the nodes themselves are heard, too, each message once', async () => {
    const client = await proxy.connect();
    await client.ask('SUBSCRIBE', 'c');
    const owner = await cluster.ownerOf(slotOf(Buffer.from('c'), 0, 1));
    await cluster.cli(owner.port, 'PUBLISH', 'c', 'plain');
    assert.equal(String((await client.read())[0]), message('c', 'plain'));
    await cluster.cli(owner.port, 'SPUBLISH', 'c', 'shard');
    assert.equal(String((await client.read())[0]), message('c', 'shard'));
    const publisher = await proxy.connect();
    await publisher.ask('PUBLISH', 'c', 'last');
    assert.equal(String((await client.read())[0]), message('c', 'last'));
    client.destroy();
    publisher.destroy();
  });

  test('SSUBSCRIBE and SUBSCRIBE of one name are both told, each in its own form', async () => {
    const [plain, shard, publisher] = await Promise.all([1, 2, 3].map(() => proxy.connect()));
    await plain!.ask('SUBSCRIBE', 'both');
    await shard!.ask('SSUBSCRIBE', 'both');
    assert.equal(await publisher!.ask('SPUBLISH', 'both', 'x'), 2);
    assert.equal(String((await plain!.read())[0]), message('both', 'x'));
    assert.equal(
      String((await shard!.read())[0]),
      message('both', 'x').replace('$7\r\nmessage', '$8\r\nsmessage'),
    );
    assert.deepEqual(await publisher!.ask('PUBSUB', 'NUMSUB', 'both'), ['both', 1]);
    assert.deepEqual(await publisher!.ask('PUBSUB', 'SHARDNUMSUB', 'both'), ['both', 1]);
    await shard!.ask('SUNSUBSCRIBE');
    assert.deepEqual(await publisher!.ask('PUBSUB', 'SHARDCHANNELS'), []);
    assert.deepEqual(await publisher!.ask('PUBSUB', 'CHANNELS'), ['both']);
    for (const client of [plain!, shard!, publisher!]) client.destroy();
  });

  test('messages of any length and any bytes arrive as they were published, in a pipeline and a transaction', async () => {
    const [client, publisher] = [await proxy.connect(), await proxy.connect()];
    await client.ask('SUBSCRIBE', 'c');
    const all = [0, 1, 100, 65_450, 65_536, 200_000, 3].map((length) =>
      Buffer.from(Array.from({ length }, (_, i) => (i * 7 + length) & 255)),
    );
    const publishes = all.map((bytes) => ['PUBLISH', 'c', bytes]);
    await publisher.pipeline([...publishes, ['MULTI'], ...publishes, ['EXEC']]);
    const heard = await client.read(2 * all.length);
    for (const [i, bytes] of [...all, ...all].entries())
      assert.equal(heard[i]!.toString('latin1'), message('c', bytes.toString('latin1')));
    client.destroy();
    publisher.destroy();
  });

  test('a PUBLISH in a transaction is heard', async () => {
    const [client, publisher] = [await proxy.connect(), await proxy.connect()];
    await client.ask('SUBSCRIBE', 'c');
    const replies = await publisher.pipeline([['MULTI'], ['SET', 'k', 1], ['PUBLISH', 'c', 'x'], ['EXEC']]);
    assert.match(String(replies[3]), /^\*2\r\n\+OK\r\n:\d\r\n$/);
    assert.equal(String((await client.read())[0]), message('c', 'x'));
    client.destroy();
    publisher.destroy();
  });

  test('patterns are refused with the reason, but for those of keys', async () => {
    const client = await proxy.connect();
    assert.match(String(await client.ask('PSUBSCRIBE', 'c*')), /pubsub\.mode sharded/);
    assert.deepEqual(await client.ask('PSUBSCRIBE', '__keyspace@0__:k*'), [
      'psubscribe',
      '__keyspace@0__:k*',
      1,
    ]);
    const other = await proxy.connect();
    await other.ask('SET', 'key', 1);
    assert.match(String((await client.read())[0]), /__keyspace@0__:key\r\n\$3\r\nset\r\n$/);
    client.destroy();
    other.destroy();
  });
});
