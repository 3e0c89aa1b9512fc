/** Libraries that applications put between themselves and a client, as they are. */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { RedisStore } from 'connect-redis';
import { Redis } from 'ioredis';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import { createClient } from 'redis';
import Redlock from 'redlock';
import { type Cluster, startCluster } from '../support/cluster.ts';
import { type RunningProxy, startProxy } from '../support/proxy.ts';

let cluster: Cluster;
let proxy: RunningProxy;
let ioredis: Redis;

before(async () => {
  cluster = await startCluster({ replicas: 0 });
  proxy = await startProxy({ cluster });
  ioredis = new Redis(proxy.port);
});

after(async () => {
  ioredis?.disconnect();
  await proxy?.stop();
  await cluster?.stop();
});

async function withNodeRedis(work: (client: ReturnType<typeof make>) => Promise<void>): Promise<void> {
  const client = make();
  await client.connect();
  try {
    await work(client);
  } finally {
    client.destroy();
  }
}

function make() {
  return createClient({ url: `redis://127.0.0.1:${proxy.port}` });
}

test('redlock: a lock is held by one, extended, given back; several resources share a hash tag', async () => {
  const redlock = new Redlock([ioredis], { retryCount: 0 });
  const lock = await redlock.acquire(['lock:a'], 10_000);
  await assert.rejects(redlock.acquire(['lock:a'], 10_000));
  await (await lock.extend(20_000)).release();
  await (await redlock.acquire(['{lock}a', '{lock}b'], 10_000)).release();
  assert.equal(await ioredis.exists('lock:a', '{lock}a', '{lock}b'), 0);
});

test('rate-limiter-flexible: so many are let through and no more, with ioredis and with node-redis', async () => {
  const rejected = async (limiter: RateLimiterRedis) => {
    let count = 0;
    for (let i = 0; i < 8; i++) {
      await limiter.consume('user').catch((error) => {
        if (error instanceof Error) throw error;
        count++;
      });
    }
    return count;
  };
  const common = { points: 5, duration: 600 };
  assert.equal(await rejected(new RateLimiterRedis({ ...common, storeClient: ioredis, keyPrefix: 'a' })), 3);
  await withNodeRedis(async (client) => {
    const limiter = new RateLimiterRedis({
      ...common,
      storeClient: client,
      useRedisPackage: true,
      keyPrefix: 'b',
    });
    assert.equal(await rejected(limiter), 3);
  });
});

test('connect-redis: sessions of all slots are written, read, listed, counted and cleared', () =>
  withNodeRedis(async (client) => {
    const store = new RedisStore({ client, prefix: 'session:' });
    const session = (n: number) => ({ cookie: { originalMaxAge: 1000 * n }, n }) as never;
    for (let n = 1; n <= 20; n++) await store.set(`id${n}`, session(n));
    assert.deepEqual(await store.get('id7'), { cookie: { originalMaxAge: 7000 }, n: 7 });
    assert.equal(await store.length(), 20);
    assert.equal(((await store.all()) as unknown[]).length, 20);
    await store.destroy('id7');
    await store.touch('id8', session(8));
    assert.equal(((await store.ids()) as string[]).length, 19);
    await store.clear();
    assert.equal(await store.length(), 0);
  }));
